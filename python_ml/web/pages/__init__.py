"""The pages: which sections each has, and what these make of their frames."""

from python_ml.web.content import Page
from python_ml.web.pages import (
    data,
    drift,
    ensembles,
    forecasts,
    overview,
    sql,
    track_record,
)

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    forecasts.PAGE,
    track_record.PAGE,
    drift.PAGE,
    ensembles.PAGE,
    data.PAGE,
    sql.PAGE,
)
BY_KEY = {page.key: page for page in PAGES}
