"""How good it has been, and what may be concluded from that."""

import numpy as np
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
from python_ml.web.figures.scores import (
    calibration_figure,
    contest_figure,
    coverage_figure,
    skill_figure,
)
from python_ml.web.pages.shared import HISTORY_COMMAND, listing, spelled
from python_ml.web.queries import track_record as queries
from python_ml.web.statistics import skill_by_period, wilson_interval

NOT_YET = "No forecast of this timeframe and horizon has settled yet."
SKILL_COLUMNS = {
    "skill": Column("Skill (%)", "skill"),
    "skill_standard_error": Column("standard error", "error"),
}


def _skill(frames: Frames, choice: Choice) -> Content:
    scores = frames["scores"]
    if scores.empty:
        return Empty(NOT_YET, HISTORY_COMMAND)
    per_day = scores.groupby(scores["closed_at"].dt.date).size()
    session_bars = int(per_day.median())
    blocks = []
    for rows, title in (
        (scores, "All series"),
        (frames["symbol_scores"], str(choice.symbol)),
    ):
        periods = skill_by_period(rows, session_bars=session_bars)
        if periods.empty:
            continue
        whole = _whole(rows, session_bars)
        blocks.append(
            Block(
                title=title,
                notes=(whole,),
                figure=skill_figure(periods),
                table=Table(
                    periods,
                    {
                        "period": Column("Closed in"),
                        **SKILL_COLUMNS,
                        "n": Column("Forecasts", "count"),
                        "n_blocks": Column("Blocks", "count"),
                    },
                    "Skill by period",
                ),
            )
        )
    return tuple(blocks)


def _whole(scores: pd.DataFrame, session_bars: int) -> str:
    """Skill over everything in a sentence that says what it proves."""
    one = scores.assign(closed_at=scores["closed_at"].iloc[0])
    row = skill_by_period(one, session_bars=session_bars).iloc[0]
    error = row["skill_standard_error"]
    sentence = f"Over all {row['n']:,} forecasts skill is {row['skill']:+.2%}"
    if not np.isfinite(error):
        return f"{sentence}; one block of time tells no error, so no more."
    sentence += f" with a standard error of {error:.2%}"
    if row["skill"] > 2 * error:
        return f"{sentence}: better than climatology beyond chance."
    if row["skill"] < -2 * error:
        return f"{sentence}: worse than climatology beyond chance."
    return f"{sentence}: not to be told from climatology."


def _calibration(frames: Frames, choice: Choice) -> Content:
    bins = frames["calibration"]
    if bins.empty:
        return Empty(NOT_YET, HISTORY_COMMAND)
    effective = np.maximum(
        bins["n_closes"].to_numpy(dtype=np.float64)
        / bins["horizon_bars"].to_numpy(dtype=np.float64),
        1.0,
    )
    lower, upper = wilson_interval(
        bins["share"].to_numpy(dtype=np.float64), effective
    )
    bins = bins.assign(
        share_lower=lower, share_upper=upper, n_effective=effective
    )
    return (
        Block(
            figure=calibration_figure(bins),
            notes=(
                "Lines are 95% intervals that count forecasts of one close as "
                "one, and those that overlap as many as fit end to end.",
            ),
            table=Table(
                bins,
                {
                    "label": Column("Class", "verdict"),
                    "mean_probability": Column("Said", "share"),
                    "share": Column("Came true", "share"),
                    "share_lower": Column("from", "share"),
                    "share_upper": Column("to", "share"),
                    "n": Column("Forecasts", "count"),
                    "n_effective": Column("that count", "number"),
                },
                "Forecasts by what probability they gave",
            ),
        ),
    )


def _named_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells with a name, those of bars of the session last and in order."""
    is_place = cells["cut_by"].eq("place_in_session")
    part = cells["part"].where(cells["cut_by"] != "all", "all").map(spelled)
    level = cells["band_level"].astype(int).astype(str)
    named = cells.assign(
        is_place=is_place,
        place=pd.to_numeric(cells["part"].where(is_place), errors="coerce"),
        name=part.where(~is_place, "bar " + part) + ", " + level + "%",
    )
    return named.sort_values(
        "place", na_position="first", kind="stable", ignore_index=True
    )


def _coverage(frames: Frames, choice: Choice) -> Content:
    cells = frames["coverage"]
    if cells.empty:
        return Empty(NOT_YET, HISTORY_COMMAND)
    cells = _named_cells(cells)
    # A session of 26 bars has a cell of each for every band.
    is_drawn = ~cells["is_place"] | cells["band_level"].eq(80)
    beyond = int(cells["is_beyond_chance"].fillna(False).astype(bool).sum())
    return (
        Block(
            figure=coverage_figure(cells[is_drawn]),
            notes=(
                "Every cell is within what chance does."
                if not beyond
                else f"{beyond} of {len(cells)} cells are beyond chance. Of "
                "many cells one in twenty is by chance alone.",
                *(
                    ()
                    if is_drawn.all()
                    else (
                        "Bars of the session are drawn with their 80% band; "
                        "the numbers hold all.",
                    )
                ),
            ),
            table=Table(
                cells,
                {
                    "name": Column("Cell"),
                    "nominal": Column("Promised", "share"),
                    "coverage": Column("Held", "share"),
                    "coverage_lower": Column("from", "share"),
                    "coverage_upper": Column("to", "share"),
                    "share_below": Column("Below", "share"),
                    "share_above": Column("Above", "share"),
                    "n_forecasts": Column("Forecasts", "count"),
                    "n_periods": Column("Periods", "number"),
                    "is_beyond_chance": Column("Beyond chance", "verdict"),
                },
                "Coverage of the bands over all series of the calendar",
                at_most=120,
            ),
        ),
    )


def _leaderboard(frames: Frames, choice: Choice) -> Content:
    rows = frames["leaderboard"]
    if rows.empty:
        return Empty(NOT_YET, HISTORY_COMMAND)
    rows = rows.assign(name=rows["contestant"].map(spelled))
    return (
        Block(
            figure=contest_figure(rows),
            table=Table(
                rows,
                {
                    "name": Column("Contestant"),
                    **SKILL_COLUMNS,
                    "accuracy": Column("Accuracy", "share"),
                    "majority_share": Column("Largest class", "share"),
                    "overconfidence": Column(
                        "Overconfidence (points)", "points"
                    ),
                    "reliability": Column("Reliability", "number"),
                    "n": Column("Forecasts", "count"),
                    "n_blocks": Column("Blocks", "count"),
                },
                f"Contestants on {choice.symbol}, best first",
            ),
        ),
    )


def _trust(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["trust"],
        {
            "trust": Column("Trust", "verdict"),
            **SKILL_COLUMNS,
            "accuracy": Column("Accuracy", "share"),
            "coverage_80": Column("Inside 80%", "share"),
            "n": Column("Forecasts", "count"),
            "n_blocks": Column("Blocks", "count"),
        },
        "Settled forecasts by the trust that they were issued with",
        empty=Empty(NOT_YET, HISTORY_COMMAND),
    )


def _reading(frames: Frames, choice: Choice) -> Content:
    return (
        Block(
            notes=(
                "You may conclude that forecasts beat climatology where skill "
                "is above two standard errors, over ten blocks and more.",
                "You may not conclude that the best of several members, series "
                "or months is the best to come: of twenty, one leads by two "
                "standard errors by chance.",
                "Skill says whether probabilities were worth reading, not "
                "whether trading on them pays: no cost is in it, and the "
                "forecasts claim no edge in where prices go.",
                "Replayed forecasts are made from the values known today.",
            )
        ),
    )


def _sections(choice: Choice) -> tuple[Section, ...]:
    name = f"{choice.timeframe} {choice.horizon}"
    return (
        Section(
            "skill",
            f"Skill over time, {name}",
            {"scores": queries.SCORES, "symbol_scores": queries.SYMBOL_SCORES},
            _skill,
            note="1 less the log loss over that of climatology, the forecast "
            "of someone with no skill.",
        ),
        Section(
            "calibration",
            f"Calibration, {name}",
            {"calibration": queries.CALIBRATION},
            _calibration,
        ),
        Section(
            "coverage",
            f"Do the bands hold, {name}",
            {"coverage": queries.COVERAGE},
            _coverage,
        ),
        Section(
            "leaderboard",
            f"Who is best on {choice.symbol}, {name}",
            {"leaderboard": queries.LEADERBOARD},
            _leaderboard,
        ),
        Section("trust", "Did trust pay", {"trust": queries.TRUST}, _trust),
        Section("reading", "What this does and does not say", {}, _reading),
    )


PAGE = Page(
    "track-record",
    "Track record",
    "How good forecasts have been, each with the error of saying so.",
    ("symbol", "timeframe", "horizon"),
    _sections,
)
