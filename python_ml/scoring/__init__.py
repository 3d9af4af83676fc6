"""Metrics, time-ordered scores, weights and bands, on arrays alone."""
