"""Cut history at random times and see whether the past changes."""
