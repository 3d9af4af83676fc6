"""Skill over time, calibration, coverage and contests, with their errors."""

import pandas as pd

from python_ml.web.content import Figure
from python_ml.web.figures.base import (
    CLASS_COLOURS,
    CLASSES,
    Trace,
    axis,
    layout,
    numbers,
    whiskers,
)

CLASS_MARKS = {"BEARISH": "square", "NEUTRAL": "circle", "BULLISH": "diamond"}


def skill_figure(periods: pd.DataFrame) -> Figure:
    """Skill by period, two standard errors behind it.

    Parameters
    ----------
    periods : DataFrame of shape (n_periods, n_columns)
        `period`, `skill`, `skill_standard_error` (NaN with one block),
        `n_blocks`.
    """
    names = periods["period"].tolist()
    reach = 2 * periods["skill_standard_error"]
    xs: list[str | None] = []
    ys: list[float | None] = []
    for name, low, high in zip(
        names,
        numbers(periods["skill"] - reach),
        numbers(periods["skill"] + reach),
        strict=True,
    ):
        xs += [name, name, None]
        ys += [low, high, None]
    return Figure(
        [
            {
                "type": "scatter",
                "mode": "lines",
                "x": xs,
                "y": ys,
                "line": {"color": "@interval", "width": 12},
                "name": "Two standard errors",
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "markers",
                "x": names,
                "y": numbers(periods["skill"]),
                "marker": {"color": "@accent", "size": 7},
                "text": [f"{count} blocks" for count in periods["n_blocks"]],
                "name": "Skill",
                "hovertemplate": "%{x}: %{y:.2%}, %{text}<extra></extra>",
            },
        ],
        layout(
            axis("Closed in", type="category"),
            axis("Skill over climatology (%)", tickformat="+.1%"),
        ),
        "Skill over climatology by the period in which the bars closed, with "
        "two standard errors; above 0 is better than climatology.",
    )


def calibration_figure(bins: pd.DataFrame) -> Figure:
    """How often what was given a probability came true.

    Parameters
    ----------
    bins : DataFrame of shape (n_bins, n_columns)
        `label`, `mean_probability`, `share`, `share_lower`, `share_upper`.
    """
    traces: list[Trace] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [0, 1],
            "y": [0, 1],
            "line": {"color": "@axis", "width": 1, "dash": "dash"},
            "name": "As said",
            "hoverinfo": "skip",
        }
    ]
    for label in CLASSES:
        rows = bins[bins["label"] == label]
        xs: list[float | None] = []
        ys: list[float | None] = []
        for said, low, high in zip(
            numbers(rows["mean_probability"], 4),
            numbers(rows["share_lower"], 4),
            numbers(rows["share_upper"], 4),
            strict=True,
        ):
            xs += [said, said, None]
            ys += [low, high, None]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": xs,
                "y": ys,
                "line": {"color": CLASS_COLOURS[label], "width": 2},
                "opacity": 0.45,
                "legendgroup": label,
                "showlegend": False,
                "hoverinfo": "skip",
                "name": label,
            }
        )
    for label in CLASSES:
        rows = bins[bins["label"] == label]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": numbers(rows["mean_probability"], 4),
                "y": numbers(rows["share"], 4),
                "text": [f"{count} forecasts" for count in rows["n"]],
                "marker": {
                    "color": CLASS_COLOURS[label],
                    "symbol": CLASS_MARKS[label],
                    "size": 9,
                },
                # What always or never came true lies on the edge.
                "cliponaxis": False,
                "legendgroup": label,
                "name": label.capitalize(),
                "hovertemplate": (
                    "said %{x:.1%}, came %{y:.1%}, %{text}<extra></extra>"
                ),
            }
        )
    return Figure(
        traces,
        layout(
            axis("Said (%)", tickformat=".0%", range=[0, 1]),
            axis("Came true (%)", tickformat=".0%", range=[0, 1]),
        ),
        "Share that came true of forecasts by their probability; on the "
        "diagonal they are calibrated.",
        height=380,
    )


def coverage_figure(cells: pd.DataFrame) -> Figure:
    """Coverage of bands by cell, with its interval, against nominal.

    Parameters
    ----------
    cells : DataFrame of shape (n_cells, n_columns)
        `name`, `coverage`, `coverage_lower`, `coverage_upper`, `nominal`,
        `is_beyond_chance`.
    """
    names = cells["name"].tolist()
    beyond = cells["is_beyond_chance"].fillna(False).astype(bool).tolist()
    return Figure(
        [
            whiskers(names, cells["coverage_lower"], cells["coverage_upper"]),
            {
                "type": "scatter",
                "mode": "markers",
                "x": numbers(cells["nominal"], 4),
                "y": names,
                "marker": {
                    "symbol": "line-ns",
                    "size": 18,
                    "line": {"color": "@ink", "width": 2},
                },
                "name": "Nominal",
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "markers",
                "x": numbers(cells["coverage"], 4),
                "y": names,
                "marker": {
                    "color": ["@miss" if flag else "@hit" for flag in beyond],
                    "symbol": ["x" if flag else "circle" for flag in beyond],
                    "size": 9,
                },
                "name": "Coverage (cross: beyond chance)",
                "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
            },
        ],
        layout(
            axis("Outcomes inside the band (%)", tickformat=".0%"),
            # Plotly leaves room for marks as a share of the height.
            axis("", type="category", range=[len(names) - 0.4, -0.6]),
        ),
        "Share of outcomes inside the bands of 50, 80 and 95%, with an "
        "interval, beside what the bands promise.",
        height=110 + 26 * max(1, len(names)),
    )


def contest_figure(rows: pd.DataFrame) -> Figure:
    """Skill of contestants with two standard errors.

    Parameters
    ----------
    rows : DataFrame of shape (n_contestants, n_columns)
        `name`, `skill`, `skill_standard_error`.
    """
    names = rows["name"].tolist()
    reach = 2 * rows["skill_standard_error"].fillna(0)
    return Figure(
        [
            whiskers(
                names,
                rows["skill"] - reach,
                rows["skill"] + reach,
                name="Two standard errors",
            ),
            {
                "type": "scatter",
                "mode": "markers",
                "x": numbers(rows["skill"], 4),
                "y": names,
                "marker": {"color": "@accent", "size": 9},
                "name": "Skill",
                "hovertemplate": "%{y}: %{x:.2%}<extra></extra>",
            },
        ],
        layout(
            axis("Skill over climatology (%)", tickformat="+.1%"),
            axis("", type="category", autorange="reversed"),
        ),
        "Skill over climatology with two standard errors, best first.",
        height=110 + 30 * max(1, len(names)),
    )
