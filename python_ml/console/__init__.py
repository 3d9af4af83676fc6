"""Logs, progress and text tables: what a person sees of a run."""
