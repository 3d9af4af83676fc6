"""Issue forecasts."""
