"""Bring bars, splits and dividends into schema `raw`: one file per source."""
