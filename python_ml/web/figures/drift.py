"""Accuracy against what validation promised."""

import pandas as pd

from python_ml.web.content import Figure
from python_ml.web.figures.base import axis, layout, numbers, times, whiskers


def status_figure(rows: pd.DataFrame) -> Figure:
    """Accuracy of each series with its interval, and its baseline.

    Parameters
    ----------
    rows : DataFrame of shape (n_series, n_columns)
        `name`, `accuracy`, `accuracy_lower`, `accuracy_upper`,
        `baseline_accuracy`, `drift_detected`.
    """
    names = rows["name"].tolist()
    drifting = rows["drift_detected"].fillna(False).astype(bool).tolist()
    return Figure(
        [
            whiskers(names, rows["accuracy_lower"], rows["accuracy_upper"]),
            {
                "type": "scatter",
                "mode": "markers",
                "x": numbers(rows["baseline_accuracy"], 4),
                "y": names,
                "marker": {
                    "symbol": "line-ns",
                    "size": 18,
                    "line": {"color": "@ink", "width": 2},
                },
                "name": "Baseline",
                "hovertemplate": "%{y} baseline: %{x:.1%}<extra></extra>",
            },
            {
                "type": "scatter",
                "mode": "markers",
                "x": numbers(rows["accuracy"], 4),
                "y": names,
                "marker": {
                    "color": ["@miss" if flag else "@hit" for flag in drifting],
                    "symbol": ["x" if flag else "circle" for flag in drifting],
                    "size": 9,
                },
                "name": "Accuracy (cross: drift)",
                "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
            },
        ],
        layout(
            axis(
                "Accuracy of the last forecasts (%)",
                tickformat=".0%",
                range=[0, 1],
            ),
            axis("", type="category", autorange="reversed"),
        ),
        "Accuracy of each series' last settled forecasts with a 95% interval, "
        "beside the accuracy that validation promised.",
        height=110 + 26 * max(1, len(names)),
    )


def evidence_figure(rows: pd.DataFrame) -> Figure:
    """Evidence of drift beside what it takes to call it that.

    Parameters
    ----------
    rows : DataFrame of shape (n_tests, n_columns)
        `name`, `evidence`, `threshold` (both above 0), `is_alarm`.
    """
    names = rows["name"].tolist()
    alarms = rows["is_alarm"].fillna(False).astype(bool).tolist()
    return Figure(
        [
            {
                "type": "scatter",
                "mode": "markers",
                "x": numbers(rows["threshold"], 4),
                "y": names,
                "marker": {
                    "symbol": "line-ns",
                    "size": 18,
                    "line": {"color": "@ink", "width": 2},
                },
                "name": "Threshold",
                "hovertemplate": "%{y} threshold: %{x:.3g}<extra></extra>",
            },
            {
                "type": "scatter",
                "mode": "markers",
                "x": numbers(rows["evidence"].clip(lower=1e-3), 4),
                "y": names,
                "marker": {
                    "color": ["@miss" if flag else "@hit" for flag in alarms],
                    "symbol": ["x" if flag else "circle" for flag in alarms],
                    "size": 9,
                },
                "name": "Evidence (cross: alarm)",
                "hovertemplate": "%{y}: %{x:.3g}<extra></extra>",
            },
        ],
        layout(
            axis(
                "Evidence (times as likely, log scale)",
                type="log",
                dtick=1,
                tickformat=",~g",
            ),
            axis("", type="category", autorange="reversed"),
        ),
        "Evidence that forecasts have become worse than promised, beside the "
        "threshold of each test.",
        height=110 + 26 * max(1, len(names)),
    )


def features_figure(rows: pd.DataFrame) -> Figure:
    """How far features moved, beside how far chance moves them.

    Parameters
    ----------
    rows : DataFrame of shape (n_features, n_columns)
        `name`, `stability_index`, `stability_index_by_chance`.
    """
    names = rows["name"].tolist()
    return Figure(
        [
            {
                "type": "bar",
                "orientation": "h",
                "x": numbers(rows["stability_index_by_chance"], 4),
                "y": names,
                "marker": {"color": "@interval"},
                "name": "By chance",
                "hovertemplate": "%{y} by chance: %{x:.3f}<extra></extra>",
            },
            {
                "type": "scatter",
                "mode": "markers",
                "x": numbers(rows["stability_index"], 4),
                "y": names,
                "marker": {"color": "@accent", "size": 8},
                "name": "Now",
                "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
            },
        ],
        layout(
            axis("Stability index", rangemode="tozero"),
            axis("", type="category", autorange="reversed"),
            bargap=0.3,
        ),
        "Population stability index of the features that moved most, beside "
        "what chance alone makes of it.",
        height=110 + 24 * max(1, len(names)),
    )


def rolling_figure(days: pd.DataFrame) -> Figure:
    """Accuracy over the last forecasts at each day, with its interval.

    Parameters
    ----------
    days : DataFrame of shape (n_days, n_columns)
        `date`, `accuracy`, `accuracy_lower`, `accuracy_upper`,
        `baseline_accuracy`, in order.
    """
    dates = times(days["date"])
    return Figure(
        [
            {
                "type": "scatter",
                "mode": "lines",
                "x": dates + dates[::-1],
                "y": numbers(days["accuracy_upper"], 4)
                + numbers(days["accuracy_lower"], 4)[::-1],
                "fill": "toself",
                "fillcolor": "@interval",
                "line": {"width": 0},
                "name": "95% interval",
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "lines",
                "x": dates,
                "y": numbers(days["baseline_accuracy"], 4),
                "line": {"color": "@ink", "dash": "dash", "width": 1.5},
                "name": "Baseline",
            },
            {
                "type": "scatter",
                "mode": "lines",
                "x": dates,
                "y": numbers(days["accuracy"], 4),
                "line": {"color": "@accent", "width": 2},
                "name": "Accuracy",
            },
        ],
        layout(
            axis("Settled on", type="date"),
            axis("Accuracy (%)", tickformat=".0%", range=[0, 1]),
        ),
        "Accuracy over the last settled forecasts, day by day, with a 95% "
        "interval, and the accuracy that validation promised.",
    )
