"""What challengers and champions forecast of the same bars."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from python_ml.examples.catalog import read_session_bars
from python_ml.examples.frames import to_times
from python_ml.registry.promotion.cohort import Cohort
from python_ml.registry.promotion.verdict import (
    MIN_BARS,
    MIN_BLOCKS,
    PairedForecasts,
    promotion_block_bars,
)
from python_ml.registry.validation_scores import (
    read_bar_numbers,
    score_validation,
    stack_classes,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

MAX_TICKERS_NAMED = 8


@dataclass(frozen=True)
class Evidence:
    """All that a verdict on one horizon rests on.

    Parameters
    ----------
    horizon : str
    scored : DataFrame
        Challengers' predictions in time order of the series that have a
        champion; see `score_validation`.
    paired : PairedForecasts
        Those of their bars that the champions forecast, too.
    block_bars : int
        Grid bars in a block; see `promotion_block_bars`.
    """

    horizon: str
    scored: pd.DataFrame
    paired: PairedForecasts
    block_bars: int


def read_evidence(
    warehouse: Warehouse,
    cohort: Cohort,
    symbol_ids: Mapping[str, Collection[int]],
) -> dict[str, Evidence]:
    """Compare the challengers' validation with the champions' ledger.

    Parameters
    ----------
    warehouse : Warehouse
    cohort : Cohort
        All of it is loaded and scored, whoever has a champion, since weights
        are pulled towards those of all.
    symbol_ids : mapping of str to collection of int
        By horizon, the series that have a champion.

    Returns
    -------
    dict of str to Evidence
        By horizon.
    """
    loaded = {
        challenger.symbol_id: challenger.load()
        for challenger in cohort.challengers
    }
    grid = cohort.calendar, cohort.timeframe
    bar_numbers = read_bar_numbers(warehouse, *grid, as_of=cohort.as_of)
    session_bars = read_session_bars(warehouse, *grid)
    forecasts = read_champion_forecasts(warehouse, cohort, symbol_ids)
    evidence = {}
    for horizon, contested in symbol_ids.items():
        ensembles = {
            symbol_id: horizons[horizon]
            for symbol_id, horizons in loaded.items()
            if horizon in horizons and horizons[horizon].validation is not None
        }
        scored = score_validation(ensembles, bar_numbers, cohort.weighting)
        scored = scored[scored["symbol_id"].isin(list(contested))]
        horizon_bars = next(iter(ensembles.values())).horizon_bars
        evidence[horizon] = Evidence(
            horizon,
            scored,
            pair_forecasts(scored, forecasts[forecasts["horizon"] == horizon]),
            promotion_block_bars(session_bars, horizon_bars),
        )
    return evidence


def read_champion_forecasts(
    warehouse: Warehouse,
    cohort: Cohort,
    symbol_ids: Mapping[str, Collection[int]],
) -> pd.DataFrame:
    """Forecasts of the ledger that versions made after their as-of time.

    Returns
    -------
    DataFrame of shape (n_forecasts, n_columns)
        `symbol_id`, `horizon`, `closed_at` and `champion_<class>`.
    """
    forecasts = read_frame(
        warehouse,
        """
        select
            ledger.symbol_id,
            ledger.horizon,
            ledger.closed_at,
            ledger.probability_bearish as champion_bearish,
            ledger.probability_neutral as champion_neutral,
            ledger.probability_bullish as champion_bullish
        from {counted} as ledger
        inner join {ml}.ensembles as ensembles
            on
                ledger.version_id = ensembles.version_id
                and ledger.closed_at >= ensembles.as_of
        where
            ledger.timeframe = :timeframe
            and ledger.horizon = any(:horizons)
            and ledger.symbol_id = any(:symbol_ids)
            and ledger.closed_at <= :as_of
        """,
        {
            "timeframe": cohort.timeframe,
            "horizons": list(symbol_ids),
            "symbol_ids": sorted(set().union(*symbol_ids.values())),
            "as_of": cohort.as_of,
        },
    )
    return forecasts.assign(closed_at=to_times(forecasts["closed_at"]))


def pair_forecasts(
    scored: pd.DataFrame, forecasts: pd.DataFrame
) -> PairedForecasts:
    """Rows of both on the same series and bars, in the challengers' order."""
    matched = scored.merge(forecasts, on=["symbol_id", "closed_at"])
    return PairedForecasts(
        series=matched["symbol_id"].to_numpy(),
        bar_numbers=matched["bar_number"].to_numpy(),
        challenger=stack_classes(matched, "probability"),
        champion=stack_classes(matched, "champion"),
        climatology=stack_classes(matched, "climatology"),
        y=matched["y"].to_numpy(),
    )


def read_first_deployments(
    warehouse: Warehouse, cohort: Cohort
) -> pd.DataFrame:
    """When each series and horizon first had a version.

    Returns
    -------
    DataFrame of shape (n_series_and_horizons, 3)
        `symbol_id`, `horizon`, `effective_at`.
    """
    deployed = read_frame(
        warehouse,
        """
        select
            deployments.symbol_id,
            horizons.horizon,
            min(deployments.effective_at) as effective_at
        from {deployments} as deployments
        cross join
            lateral jsonb_array_elements_text(deployments.horizons)
                as horizons (horizon)
        where
            deployments.timeframe = :timeframe
            and deployments.symbol_id = any(:symbol_ids)
        group by deployments.symbol_id, horizons.horizon
        """,
        {
            "timeframe": cohort.timeframe,
            "symbol_ids": [
                challenger.symbol_id for challenger in cohort.challengers
            ],
        },
    )
    return deployed.assign(effective_at=to_times(deployed["effective_at"]))


def advise(
    cohort: Cohort, evidence: Evidence, first_deployments: pd.DataFrame
) -> str:
    """Say how a ledger with too few bars can be filled, or that it cannot."""
    scored = evidence.scored
    since = first_deployments[first_deployments["horizon"] == evidence.horizon]
    fillable = scored.merge(since, on="symbol_id")
    fillable = fillable[fillable["closed_at"] >= fillable["effective_at"]]
    n_bars = fillable["bar_number"].nunique()
    n_blocks = (fillable["bar_number"] // evidence.block_bars).nunique()
    if n_bars < MIN_BARS or n_blocks < MIN_BLOCKS:
        return (
            f"A full ledger would hold {n_bars} bars in {n_blocks} blocks, "
            "so train again when the champions have forecast more, or "
            "deploy unjudged: the same command with --promote always"
        )
    with_champion = set(scored["symbol_id"])
    tickers = [
        challenger.ticker
        for challenger in cohort.challengers
        if challenger.symbol_id in with_champion
    ]
    symbols = (
        f"--symbols {','.join(tickers)} "
        if len(tickers) <= MAX_TICKERS_NAMED
        else ""
    )
    return (
        "Fill the ledger with: swiftbolt forecast "
        f"{symbols}--timeframes {cohort.timeframe} --replay-from "
        f"{fillable['closed_at'].min():%Y-%m-%d}; then train again as of the "
        "same date"
    )
