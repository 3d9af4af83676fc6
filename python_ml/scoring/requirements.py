"""Bounds on rows and results of a training."""

# Below these nothing learnt would be worth deploying.
MIN_FIT_ROWS = 100
MIN_VALIDATION_ROWS = 40
OVERFIT_MARGIN = 0.20
EXPECTED_BAND = (0.50, 0.65)
