"""What all figures share: their layout, colours by name, values for JSON."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

Layout = dict[str, Any]
Trace = dict[str, Any]

# Of the members of an ensemble and other things told apart by colour; lines
# and marks differ as well, so that colour says nothing alone.
SERIES_COLOURS = tuple(f"@series-{number}" for number in range(1, 8))
CLASSES = ("BEARISH", "NEUTRAL", "BULLISH")
CLASS_COLOURS = {"BEARISH": "@down", "NEUTRAL": "@neutral", "BULLISH": "@up"}
CLASS_PATTERNS = {"BEARISH": "\\", "NEUTRAL": "", "BULLISH": "/"}


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with its unit in the title."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": "@grid",
        "linecolor": "@grid",
        "zerolinecolor": "@axis",
        "automargin": True,
        "fixedrange": True,
        **more,
    }


def layout(x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Layout of a figure with one pair of axes."""
    return {
        "xaxis": x,
        "yaxis": y,
        "paper_bgcolor": "@clear",
        "plot_bgcolor": "@clear",
        "font": {"color": "@ink", "size": 12, "family": "@font"},
        # On the right for half of a label: one that does not fit is left out.
        "margin": {"l": 8, "r": 20, "t": 8, "b": 8},
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": "@surface",
            "bordercolor": "@grid",
            "font": {"color": "@ink"},
        },
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            # Stacked bars would turn it round.
            "traceorder": "normal",
        },
        "dragmode": False,
        **more,
    }


def numbers(values: Iterable[Any], digits: int = 6) -> list[float | None]:
    """Numbers for JSON, rounded to digits that tell; missing is None.

    Examples
    --------
    >>> numbers([1.23456789, float("nan"), 1234567.0])
    [1.23457, None, 1234570.0]
    """
    found: list[float | None] = []
    for value in pd.Series(list(values), dtype="float64").to_numpy():
        found.append(
            float(f"{value:.{digits}g}") if np.isfinite(value) else None
        )
    return found


def times(values: Iterable[Any]) -> list[str]:
    """Times (UTC) or dates as text.

    Examples
    --------
    >>> times([pd.Timestamp("2013-03-01 21:00", tz="UTC")])
    ['2013-03-01 21:00']
    """
    return [f"{pd.Timestamp(value):%Y-%m-%d %H:%M}" for value in values]


def whiskers(
    y: list[Any],
    lower: Iterable[Any],
    upper: Iterable[Any],
    *,
    colour: str = "@interval",
    name: str = "95% interval",
) -> Trace:
    """Horizontal intervals as thick bars, to lie behind their points."""
    xs: list[Any] = []
    ys: list[Any] = []
    for place, low, high in zip(y, numbers(lower), numbers(upper), strict=True):
        xs += [low, high, None]
        ys += [place, place, None]
    return {
        "type": "scatter",
        # Markers nobody sees keep the ends off the edge of the figure.
        "mode": "lines+markers",
        "marker": {"size": 16, "color": "@clear"},
        "x": xs,
        "y": ys,
        "line": {"color": colour, "width": 9},
        "name": name,
        "hoverinfo": "skip",
        "connectgaps": False,
    }
