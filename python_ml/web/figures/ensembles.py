"""What weighed how much when, and which version was live."""

import pandas as pd

from python_ml.web.content import Figure
from python_ml.web.figures.base import (
    SERIES_COLOURS,
    axis,
    layout,
    numbers,
    times,
)

_UNIT_MINUTES = {"m": 1, "h": 60, "d": 1440, "w": 10080}
PATTERNS = ("", "/", "\\", "x", "-", "|", "+")


def weights_figure(weights: pd.DataFrame) -> Figure:
    """Weights of the members, one bar for each time that they changed.

    Parameters
    ----------
    weights : DataFrame of shape (n_rows, n_columns)
        `effective_at`, `member`, `weight`, in order of time.
    """
    traces = []
    for number, (member, rows) in enumerate(
        weights.groupby("member", sort=True)
    ):
        traces.append(
            {
                "type": "bar",
                "x": times(rows["effective_at"]),
                "y": numbers(rows["weight"], 4),
                "name": str(member).replace("_", " "),
                "marker": {
                    "color": SERIES_COLOURS[number % len(SERIES_COLOURS)],
                    "pattern": {
                        "shape": PATTERNS[number % len(PATTERNS)],
                        "fillmode": "overlay",
                        "fgcolor": "@surface",
                        "size": 6,
                        "solidity": 0.12,
                    },
                },
                "hovertemplate": (
                    "%{x}: %{y:.1%}<extra>%{fullData.name}</extra>"
                ),
            }
        )
    return Figure(
        traces,
        layout(
            axis("Live from (UTC)", type="category"),
            axis("Weight (%)", tickformat=".0%", range=[0, 1]),
            barmode="stack",
            # One bar would be as wide as the figure.
            bargap=max(0.4, 1 - 0.15 * weights["effective_at"].nunique()),
        ),
        "Weights of the members from each time that they changed.",
        height=380,
    )


def horizon_length(name: str) -> int:
    """About how long a horizon is, in minutes, to put horizons in order.

    Examples
    --------
    >>> sorted(["20d", "4h", "5d"], key=horizon_length)
    ['4h', '5d', '20d']
    """
    digits, unit = name[:-1], name[-1:]
    if not digits.isdecimal():
        return 0
    return int(digits) * _UNIT_MINUTES.get(unit, 0)


def spans_figure(spans: pd.DataFrame, *, until: pd.Timestamp) -> Figure:
    """When each version was live, by horizon.

    Parameters
    ----------
    spans : DataFrame of shape (n_spans, n_columns)
        `horizon`, `version_id`, `effective_at`, `superseded_at` (NaT while
        live).
    until : Timestamp
        Where spans end that go on.
    """
    traces = []
    for number, (version, rows) in enumerate(
        spans.groupby("version_id", sort=False)
    ):
        xs: list[str | None] = []
        ys: list[str | None] = []
        ends = rows["superseded_at"].fillna(until)
        for horizon, start, end in zip(
            rows["horizon"],
            times(rows["effective_at"]),
            times(ends),
            strict=True,
        ):
            xs += [start, end, None]
            ys += [horizon, horizon, None]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": xs,
                "y": ys,
                "line": {
                    "color": SERIES_COLOURS[number % len(SERIES_COLOURS)],
                    "width": 8,
                },
                "marker": {"symbol": "line-ns", "size": 14},
                "name": str(version),
                "hovertemplate": "%{x}<extra>%{fullData.name}</extra>",
            }
        )
    n_horizons = spans["horizon"].nunique()
    return Figure(
        traces,
        layout(
            axis("Live (UTC)", type="date"),
            axis(
                "",
                type="category",
                categoryarray=sorted(
                    set(spans["horizon"]), key=horizon_length, reverse=True
                ),
            ),
            # One version alone has to be named too.
            showlegend=True,
        ),
        "Which version was live when, by horizon.",
        height=120 + 30 * n_horizons + 18 * len(traces),
    )
