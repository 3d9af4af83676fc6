"""Watch how forecasts turn out."""
