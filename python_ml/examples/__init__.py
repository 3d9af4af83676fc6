"""What training and scoring read: series, cuts, arrays, climatology."""
