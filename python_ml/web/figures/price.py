"""Candles with the bands that were issued behind and those ahead."""

from typing import Any

import numpy as np
import pandas as pd

from python_ml.web.content import Figure
from python_ml.web.figures.base import axis, layout, numbers, times

LEVELS = (95, 80, 50)
N_TICKS = 6


def price_figure(
    bars: pd.DataFrame,
    issued: pd.DataFrame,
    ahead: pd.DataFrame,
    *,
    symbol: str,
    timeframe: str,
    horizon: str,
    currency: str | None,
) -> Figure:
    """Prices, what was said of them before, and what is said now.

    Places are bars of the grid from the newest one on, so that nights and
    weekends take no room.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, n_columns)
        Of the series, adjusted: `bar_number`, `closed_at`, open to close, and
        `basis`, what prices as traded were multiplied by.
    issued : DataFrame of shape (n_issued, n_columns)
        Forecasts of one horizon, bands as issued, with the `basis` of their
        bar.
    ahead : DataFrame of shape (n_horizons, n_columns)
        The newest forecasts of the series, `bar_number` that of their bar.
    symbol, timeframe, horizon : str
    currency : str or None

    Returns
    -------
    Figure
        Bands first, then candles, then targets.
    """
    bars = bars.sort_values("bar_number")
    # Adjusted prices start at the first bar; a reader knows the last one's.
    today = float(bars["basis"].iloc[-1])
    bars = bars.assign(
        **{
            name: bars[name] / today
            for name in ("open", "high", "low", "close")
        }
    )
    newest = int(bars["bar_number"].iloc[-1])
    places = (bars["bar_number"] - newest).astype(int)
    issued = issued.assign(basis=issued["basis"].fillna(today) / today)
    behind = _behind(issued, newest, first=int(places.iloc[0]))
    traces = [
        *_issued_bands(behind),
        *_fan(ahead, bars, newest),
        _candles(bars, places),
        *_settled(behind, bars, newest),
        *_targets(ahead, newest),
    ]
    last_place = max(
        [0, *(ahead["target_bar_number"] - newest).astype(int).tolist()]
    )
    unit = f" ({currency})" if currency else ""
    return Figure(
        traces,
        layout(
            axis(
                f"Bars of {timeframe} from the newest, closes in UTC",
                range=[int(places.iloc[0]) - 1, last_place + 1],
                rangeslider={"visible": False},
                zeroline=False,
                **_ticks(bars, places, ahead, newest),
            ),
            axis(f"Price{unit}, adjusted", side="right"),
            shapes=[_newest_line()],
        ),
        f"Prices of {symbol} on {timeframe} with the bands of 50, 80 and 95% "
        f"that were issued {horizon} before, and those issued now.",
        height=440,
    )


def _behind(issued: pd.DataFrame, newest: int, *, first: int) -> pd.DataFrame:
    """Issued forecasts by target, on today's basis, within the picture."""
    behind = issued.sort_values("target_bar_number").copy()
    basis = behind["basis"]
    for level in LEVELS:
        for side in ("lower", "upper"):
            behind[f"{side}_{level}"] *= basis
    behind["price_target"] *= basis
    behind["place"] = (behind["target_bar_number"] - newest).astype(int)
    return behind[behind["place"] >= first]


def _band(
    x: list[Any], lower: list[Any], upper: list[Any], **more: Any
) -> list[dict[str, Any]]:
    """A filled band as one closed outline."""
    known = [
        (place, low, high)
        for place, low, high in zip(x, lower, upper, strict=True)
        if low is not None and high is not None
    ]
    if not known:
        return []
    xs, lows, highs = (list(values) for values in zip(*known, strict=True))
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": xs + xs[::-1],
            "y": highs + lows[::-1],
            "fill": "toself",
            "line": {"width": 0},
            "hoverinfo": "skip",
            **more,
        }
    ]


def _issued_bands(behind: pd.DataFrame) -> list[dict[str, Any]]:
    settled = behind[behind["place"] <= 0]
    traces: list[dict[str, Any]] = []
    for level in LEVELS:
        traces += _band(
            settled["place"].tolist(),
            numbers(settled[f"lower_{level}"]),
            numbers(settled[f"upper_{level}"]),
            fillcolor=f"@issued-{level}",
            name=f"Issued {level}%",
            legendgroup="issued",
            showlegend=level == 80,
        )
    return traces


def _fan(
    ahead: pd.DataFrame, bars: pd.DataFrame, newest: int
) -> list[dict[str, Any]]:
    if ahead.empty:
        return []
    close = float(bars["close"].iloc[-1])
    ahead = ahead.sort_values("target_bar_number")
    places = [0, *(ahead["target_bar_number"] - newest).astype(int).tolist()]
    traces: list[dict[str, Any]] = []
    for level in LEVELS:
        traces += _band(
            places,
            [close, *numbers(ahead[f"lower_{level}"])],
            [close, *numbers(ahead[f"upper_{level}"])],
            fillcolor=f"@band-{level}",
            name=f"Ahead {level}%",
        )
    return traces


def _candles(bars: pd.DataFrame, places: pd.Series) -> dict[str, Any]:
    return {
        "type": "candlestick",
        "x": places.tolist(),
        **{
            name: numbers(bars[name])
            for name in ("open", "high", "low", "close")
        },
        "text": times(bars["closed_at"]),
        "name": "Prices",
        "increasing": {
            "line": {"color": "@ink", "width": 1},
            "fillcolor": "@surface",
        },
        "decreasing": {
            "line": {"color": "@ink", "width": 1},
            "fillcolor": "@ink",
        },
        "showlegend": False,
        # Plotly would draw candles below all areas, whatever their order.
        "zorder": 1,
    }


def _settled(
    behind: pd.DataFrame, bars: pd.DataFrame, newest: int
) -> list[dict[str, Any]]:
    """Closes by whether the 80% band issued for them held."""
    closes = pd.Series(
        bars["close"].to_numpy(),
        index=(bars["bar_number"] - newest).astype(int).to_numpy(),
    )
    known = behind[behind["is_inside_80"].notna()]
    traces = []
    for is_inside, name, colour, mark in (
        (True, "Inside 80%", "@hit", "circle"),
        (False, "Outside 80%", "@miss", "x"),
    ):
        rows = known[known["is_inside_80"].astype(bool) == is_inside]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": rows["place"].tolist(),
                "y": numbers(closes.reindex(rows["place"])),
                "marker": {
                    "color": colour,
                    "symbol": mark,
                    "size": 4 if is_inside else 7,
                },
                "text": [
                    f"said {said}, came {came}"
                    for said, came in zip(
                        rows["direction"], rows["outcome"], strict=True
                    )
                ],
                "name": name,
                "zorder": 2,
            }
        )
    return traces


def _targets(ahead: pd.DataFrame, newest: int) -> list[dict[str, Any]]:
    if ahead.empty:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": (ahead["target_bar_number"] - newest).astype(int).tolist(),
            "y": numbers(ahead["price_target"]),
            "text": [
                f"{horizon}: target {when}"
                for horizon, when in zip(
                    ahead["horizon"], times(ahead["target_at"]), strict=True
                )
            ],
            "marker": {"color": "@accent", "symbol": "diamond", "size": 8},
            "cliponaxis": False,
            "zorder": 2,
            "name": "Target",
        }
    ]


def _ticks(
    bars: pd.DataFrame, places: pd.Series, ahead: pd.DataFrame, newest: int
) -> dict[str, Any]:
    """Closes below the places: some bars, and the furthest target."""
    # One date would stand below several bars of a day.
    is_within_days = bars["closed_at"].dt.normalize().duplicated().any()
    form = "%m-%d %H:%M" if is_within_days else "%Y-%m-%d"
    # The first one off the edge, where half of its label has no room.
    picked = np.unique(
        np.linspace(
            len(bars) // 9, len(bars) - 1, min(N_TICKS, len(bars))
        ).astype(int)
    )
    values = places.iloc[picked].tolist()
    texts = bars["closed_at"].iloc[picked].dt.strftime(form).tolist()
    if len(ahead):
        furthest = ahead.sort_values("target_bar_number").iloc[-1]
        place = int(furthest["target_bar_number"]) - newest
        if place > len(bars) / 12:
            values.append(place)
            texts.append(furthest["target_at"].strftime(form))
    return {"tickvals": values, "ticktext": texts}


def _newest_line() -> dict[str, Any]:
    return {
        "type": "line",
        "x0": 0,
        "x1": 0,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": "@axis", "width": 1, "dash": "dot"},
        "layer": "below",
    }
