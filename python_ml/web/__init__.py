"""Pages and a report that read the warehouse and never write to it."""
