"""Migrations of the schemas `raw` and `ml`."""
