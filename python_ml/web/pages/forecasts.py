"""Forecasts of one symbol: prices and bands, classes, trust, members."""

from collections.abc import Iterator

import pandas as pd

from python_ml.web.content import (
    Block,
    Choice,
    Column,
    Content,
    Empty,
    Frames,
    Page,
    Section,
    Table,
)
from python_ml.web.figures.price import price_figure
from python_ml.web.figures.probabilities import probability_figure
from python_ml.web.pages.shared import (
    FORECAST_COMMAND,
    HISTORY_COMMAND,
    spelled,
)
from python_ml.web.queries import forecasts as queries

NOT_YET = "Nothing has been forecast for this symbol yet."
BAND_COLUMNS = {
    f"{side}_{level}": Column(f"{level}% {word}", "price")
    for level in (50, 80, 95)
    for side, word in (("lower", "from"), ("upper", "to"))
}


def _price(frames: Frames, choice: Choice) -> Content:
    bars, issued, latest = frames["bars"], frames["issued"], frames["latest"]
    if bars.empty:
        return Empty(
            "There are no bars of this series.",
            "swiftbolt ingest bars ~/downloads",
        )
    ahead = latest[
        (latest["timeframe"] == choice.timeframe)
        & (latest["bar_number"] == bars["bar_number"].max())
    ]
    figure = price_figure(
        bars,
        issued,
        ahead,
        symbol=str(choice.symbol),
        timeframe=str(choice.timeframe),
        horizon=str(choice.horizon),
        currency=next(iter(latest["currency"].dropna()), None),
    )
    return (
        Block(
            figure=figure,
            notes=tuple(_what_held(issued, ahead, choice.horizon)),
            table=_issued_table(issued, choice.horizon),
        ),
        Block(title="Ahead", table=_ahead_table(ahead)),
    )


def _what_held(
    issued: pd.DataFrame, ahead: pd.DataFrame, horizon: str | None
) -> Iterator[str]:
    """What the bands behind have come to, and why none lies ahead."""
    if ahead.empty:
        yield (
            "The newest bar is not forecast, so no band lies ahead: "
            f"{FORECAST_COMMAND} says why."
        )
    settled = issued["is_inside_80"].dropna().astype(bool)
    if len(settled):
        yield (
            f"Of the last {len(settled)} settled forecasts {horizon} ahead, "
            f"{settled.sum()} ended inside their 80% band "
            f"({settled.mean():.0%})."
        )
    else:
        yield (
            f"No forecast {horizon} ahead has settled yet, so no band lies "
            "behind. History can be replayed, as it would have been forecast: "
            f"{HISTORY_COMMAND}"
        )


def _issued_table(issued: pd.DataFrame, horizon: str | None) -> Table:
    return Table(
        issued,
        {
            "closed_at": Column("Bar closed (UTC)", "time"),
            "target_at": Column("Target at (UTC)", "time"),
            "reference_close": Column("Close", "price"),
            **BAND_COLUMNS,
            "price_target": Column("Target", "price"),
            "direction": Column("Said", "verdict"),
            "outcome": Column("Came", "verdict"),
            "realized_return": Column("Log return", "skill"),
            "is_inside_80": Column("Inside 80%", "verdict"),
            "trust": Column("Trust", "verdict"),
        },
        f"Forecasts {horizon} ahead as they were issued, newest first",
        at_most=40,
    )


def _ahead_table(ahead: pd.DataFrame) -> Table:
    return Table(
        ahead,
        {
            "horizon": Column("Horizon"),
            "target_at": Column("Target at (UTC)", "time"),
            **BAND_COLUMNS,
            "price_target": Column("Target", "price"),
            "trust": Column("Trust", "verdict"),
        },
        "Bands issued at the newest bar",
    )


def _classes(frames: Frames, choice: Choice) -> Content:
    latest = frames["latest"]
    if latest.empty:
        return Empty(NOT_YET, FORECAST_COMMAND)
    named = latest.assign(name=latest["timeframe"] + ", " + latest["horizon"])
    return (
        Block(
            figure=probability_figure(
                named,
                label="Probabilities of falling, staying and rising of each "
                "forecast, with the borders that climatology gives.",
            ),
            table=Table(
                latest,
                {
                    "timeframe": Column("Timeframe"),
                    "horizon": Column("Horizon"),
                    "direction": Column("Direction", "verdict"),
                    "confidence": Column("Over climatology", "share"),
                    "probability_bearish": Column("Bearish", "share"),
                    "climatology_bearish": Column("climatology", "share"),
                    "probability_neutral": Column("Neutral", "share"),
                    "climatology_neutral": Column("climatology", "share"),
                    "probability_bullish": Column("Bullish", "share"),
                    "climatology_bullish": Column("climatology", "share"),
                    "target_at": Column("Target at (UTC)", "time"),
                },
                "Newest forecasts of the symbol",
            ),
        ),
    )


def _trust(frames: Frames, choice: Choice) -> Content:
    latest = frames["latest"]
    if latest.empty:
        return Empty(NOT_YET, FORECAST_COMMAND)
    reasons = latest["trust_reasons"].map(
        lambda found: (
            ", ".join(spelled(reason) for reason in found)
            if isinstance(found, list)
            else ""
        )
    )
    return (
        Block(
            table=Table(
                latest.assign(reasons=reasons),
                {
                    "timeframe": Column("Timeframe"),
                    "horizon": Column("Horizon"),
                    "trust": Column("Trust", "verdict"),
                    "reasons": Column("What speaks against it"),
                    "run_kind": Column("Run"),
                    "closed_at": Column("Bar closed (UTC)", "time"),
                    "version_id": Column("Version", "version"),
                },
                "How far each forecast can be trusted",
            )
        ),
    )


def _members(frames: Frames, choice: Choice) -> Content:
    members = frames["members"]
    if members.empty:
        return Empty(
            f"No member has spoken of {choice.timeframe} {choice.horizon}.",
            FORECAST_COMMAND,
        )
    named = members.assign(name=members["member"].map(spelled))
    return (
        Block(
            figure=probability_figure(
                named,
                label="What each member of the ensemble says of the newest "
                "bar, the heaviest first.",
            ),
            table=Table(
                named,
                {
                    "name": Column("Member"),
                    "weight": Column("Weight", "share"),
                    "probability_bearish": Column("Bearish", "share"),
                    "probability_neutral": Column("Neutral", "share"),
                    "probability_bullish": Column("Bullish", "share"),
                    "contribution": Column("Contribution", "signed"),
                },
                "Members at the newest bar",
            ),
        ),
    )


def _together(frames: Frames, choice: Choice) -> Content:
    consensus, cascade = frames["consensus"], frames["cascade"]
    if consensus.empty and cascade.empty:
        return Empty(NOT_YET, FORECAST_COMMAND)
    return (
        Block(
            title="By horizon, over timeframes",
            table=Table(
                consensus,
                {
                    "horizon": Column("Horizon"),
                    "target_at": Column("Target at (UTC)", "time"),
                    "lower_80": Column("80% from", "price"),
                    "upper_80": Column("to", "price"),
                    "price_target": Column("Target", "price"),
                    "direction": Column("Direction", "verdict"),
                    "agreement": Column("Agreement", "share"),
                    "mean_handoff": Column("Handoff", "share"),
                    "timeframes": Column("From"),
                    "timeframes_left_out": Column("Left out"),
                },
                "Consensus of the timeframes that share a horizon",
            ),
        ),
        Block(
            title="How shorter horizons hand over to longer timeframes",
            table=Table(
                _marked(cascade),
                {
                    "timeframe": Column("Timeframe"),
                    "horizon": Column("Horizon"),
                    "base": Column("Base"),
                    "direction": Column("Direction", "verdict"),
                    "longer_timeframe": Column("Handed to"),
                    "class_agreement": Column("Classes agree", "share"),
                    "target_agreement": Column("Targets agree", "share"),
                    "handoff": Column("Handoff", "share"),
                    "handoff_status": Column("Status", "verdict"),
                },
                "The cascade, longest timeframe first",
            ),
        ),
    )


def _marked(cascade: pd.DataFrame) -> pd.DataFrame:
    """With a mark on the base horizon of each timeframe."""
    return cascade.assign(
        base=cascade["is_base_horizon"].map({True: "base", False: ""})
    )


def _sections(choice: Choice) -> tuple[Section, ...]:
    command = FORECAST_COMMAND
    return (
        Section(
            "price",
            f"Prices and bands, {choice.timeframe} {choice.horizon}",
            {
                "bars": queries.BARS,
                "issued": queries.ISSUED,
                "latest": queries.LATEST,
            },
            _price,
            command=command,
            note="Behind the prices lies what had been said of each close, "
            "ahead what is said now. One in five outcomes belongs outside an "
            "80% band.",
        ),
        Section(
            "classes",
            "Probabilities against climatology",
            {"latest": queries.LATEST},
            _classes,
            command=command,
            note="Where the colours meet at climatology's borders, nothing is "
            "said that the past shares of the classes do not say.",
        ),
        Section(
            "trust",
            "Trust",
            {"latest": queries.LATEST},
            _trust,
            command=command,
        ),
        Section(
            "together",
            "Timeframes together",
            {"consensus": queries.CONSENSUS, "cascade": queries.CASCADE},
            _together,
            command=command,
            note="Insurance against one timeframe failing, not a better "
            "forecast.",
        ),
        Section(
            "members",
            f"What each member said, {choice.timeframe} {choice.horizon}",
            {"members": queries.MEMBERS},
            _members,
            command=command,
        ),
    )


PAGE = Page(
    "forecasts",
    "Forecasts",
    "What is said of a symbol, how sure it is, and what was said before.",
    ("symbol", "timeframe", "horizon"),
    _sections,
)
