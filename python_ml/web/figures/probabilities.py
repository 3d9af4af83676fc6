"""What is said of direction, beside what anyone could have said."""

import pandas as pd

from python_ml.web.content import Figure
from python_ml.web.figures.base import (
    CLASS_COLOURS,
    CLASS_PATTERNS,
    CLASSES,
    Trace,
    axis,
    layout,
    numbers,
)


def probability_figure(latest: pd.DataFrame, *, label: str) -> Figure:
    """Probabilities of the three classes, with climatology's as marks.

    Parameters
    ----------
    latest : DataFrame of shape (n_forecasts, n_columns)
        `name`, `probability_<class>` and, where there is a climatology,
        `climatology_<class>`.
    label : str
        What the figure shows.
    """
    names = latest["name"].tolist()
    traces: list[Trace] = []
    has_climatology = "climatology_bearish" in latest
    for said in CLASSES:
        column = said.lower()
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "y": names,
                "x": numbers(latest[f"probability_{column}"], 4),
                "name": said.capitalize(),
                "marker": {
                    "color": CLASS_COLOURS[said],
                    "pattern": {
                        "shape": CLASS_PATTERNS[said],
                        "fillmode": "overlay",
                        "fgcolor": "@surface",
                        "size": 6,
                        "solidity": 0.12,
                    },
                },
                "hovertemplate": "%{y}: %{x:.1%}<extra>" + column + "</extra>",
            }
        )
    if has_climatology:
        edges = [
            latest["climatology_bearish"],
            latest["climatology_bearish"] + latest["climatology_neutral"],
        ]
        for number, edge in enumerate(edges):
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": numbers(edge, 4),
                    "y": names,
                    "marker": {
                        "symbol": "line-ns",
                        "size": 22,
                        "color": "@ink",
                        "line": {"color": "@ink", "width": 2.5},
                    },
                    "name": "Climatology's borders",
                    "legendgroup": "climatology",
                    "showlegend": number == 0,
                    "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
                }
            )
    return Figure(
        traces,
        layout(
            axis("Probability (%)", tickformat=".0%", range=[0, 1]),
            axis("", autorange="reversed", type="category"),
            barmode="stack",
            bargap=0.35,
        ),
        label,
        height=110 + 34 * max(1, len(names)),
    )
