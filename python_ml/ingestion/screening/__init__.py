"""Screening: which rows of a load cannot be stored, and why."""
