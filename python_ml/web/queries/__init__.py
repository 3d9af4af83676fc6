"""What each page asks of the warehouse: SQL alone, one module a page."""
