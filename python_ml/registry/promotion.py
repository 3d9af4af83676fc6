"""Whether new versions take over: judged together, horizon by horizon.

A training yields a version for every series, made by one recipe. Whether the
recipe takes over is decided for each timeframe and horizon over all its
series: what the challengers said in time order about their validation rows
against what the champions really forecast of the same bars (`ml.forecasts`),
paired, with a standard error from whole-market blocks of calendar time. A
champion has not seen these bars either, because the ledger only holds bars
after the as-of time of the version that forecast them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from python_ml import schema
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.ensemble import FloatArray, HorizonEnsemble
from python_ml.examples.frames import to_times
from python_ml.registry.deployments import (
    insert_deployments,
    live_versions,
    lock_deployments,
)
from python_ml.registry.versions import (
    SharedArtifact,
    read_versions,
    why_unusable,
)
from python_ml.scoring.metrics import (
    MIN_BLOCK_SESSIONS,
    IntArray,
    block_bars,
    block_standard_error,
    log_losses,
)
from python_ml.scoring.recipe import (
    predictions_of_recipe,
    weighing_of,
)
from python_ml.scoring.time_order import (
    score_in_time_order,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

PromotionMode = Literal["judge", "always", "never"]
MODES: tuple[PromotionMode, ...] = get_args(PromotionMode)

BLOCK_SESSIONS = MIN_BLOCK_SESSIONS
# Fewer say nothing about which of two is better.
MIN_BARS = 20
MIN_BLOCKS = 4
WORSE_BY_ERRORS = 1.0
BELOW_CLIMATOLOGY_BY_ERRORS = 2.0
RULE = (
    "promote if the challengers' mean log loss is not above the champions' by "
    f"more than {WORSE_BY_ERRORS:g} standard error and not above "
    f"climatology's by more than {BELOW_CLIMATOLOGY_BY_ERRORS:g}, on the same "
    f"bars after the champions' as-of time, in at least {MIN_BARS} bars and "
    f"{MIN_BLOCKS} blocks of {BLOCK_SESSIONS} sessions or one horizon; keep "
    "the champions otherwise; deploy where there is no champion"
)

FIRST_VERSION = "first_version"
NOT_WORSE = "not_worse"
WORSE = "worse_than_champion"
BELOW_CLIMATOLOGY = "below_climatology"
TOO_FEW_BARS = "too_few_bars"
FORCED = "forced"
MAX_TICKERS_NAMED = 8


@dataclass(frozen=True)
class PairedForecasts:
    """What challengers and champions said about the same bars.

    Parameters
    ----------
    series : ndarray of int of shape (n_samples,)
        Key of the series of each row.
    bar_numbers : ndarray of int of shape (n_samples,)
        On the grid, which all series share.
    challenger, champion, climatology : ndarray of shape (n_samples, 3)
        Probabilities; climatology as the challenger knew it at fit.
    y : ndarray of int of shape (n_samples,)
        Positions of the labels in `CLASSES`.
    """

    series: IntArray
    bar_numbers: IntArray
    challenger: FloatArray
    champion: FloatArray
    climatology: FloatArray
    y: IntArray


@dataclass(frozen=True)
class Verdict:
    """What follows from a comparison, and its numbers.

    Parameters
    ----------
    verdict : str
        `first_version`, `not_worse`, `worse_than_champion`,
        `below_climatology`, `too_few_bars` or `forced`.
    is_promoted : bool
        Whether the challengers take over.
    reason : str
        For people.
    n_series, n_rows, n_bars, n_blocks : int
        Compared.
    challenger_log_loss, champion_log_loss, climatology_log_loss : float or None
        Mean over the rows, in nats; lower is better. None without rows.
    mean_difference : float or None
        Challenger less champion.
    mean_difference_se : float or None
        Its standard error from blocks; None with fewer than two.
    climatology_difference, climatology_difference_se : float or None
        Challenger less climatology, likewise.
    """

    verdict: str
    is_promoted: bool
    reason: str
    n_series: int = 0
    n_rows: int = 0
    n_bars: int = 0
    n_blocks: int = 0
    challenger_log_loss: float | None = None
    champion_log_loss: float | None = None
    climatology_log_loss: float | None = None
    mean_difference: float | None = None
    mean_difference_se: float | None = None
    climatology_difference: float | None = None
    climatology_difference_se: float | None = None


def judge(paired: PairedForecasts, *, block_bars: int) -> Verdict:
    """Apply `RULE` to forecasts of the same bars; pure.

    Parameters
    ----------
    paired : PairedForecasts
        May be empty.
    block_bars : int
        Grid bars in a block; see `promotion_block_bars`.

    Examples
    --------
    Twenty bars of one series in four blocks; the champion gives each label
    1/2, the challenger 0.6:

    >>> n = 20
    >>> better = np.tile([0.6, 0.2, 0.2], (n, 1))
    >>> half = np.tile([0.5, 0.25, 0.25], (n, 1))
    >>> paired = PairedForecasts(
    ...     series=np.ones(n, dtype=int),
    ...     bar_numbers=np.arange(n),
    ...     challenger=better,
    ...     champion=half,
    ...     climatology=half,
    ...     y=np.zeros(n, dtype=int),
    ... )
    >>> verdict = judge(paired, block_bars=5)
    >>> verdict.verdict, round(verdict.mean_difference, 4)
    ('not_worse', -0.1823)
    """
    blocks = paired.bar_numbers // block_bars
    n_bars = len(np.unique(paired.bar_numbers))
    n_blocks = len(np.unique(blocks))
    if len(paired.y) == 0:
        return Verdict(TOO_FEW_BARS, False, _too_few(n_bars, n_blocks))
    challenger = log_losses(paired.challenger, paired.y)
    champion = log_losses(paired.champion, paired.y)
    climatology = log_losses(paired.climatology, paired.y)
    difference = challenger - champion
    to_climatology = challenger - climatology
    found = Verdict(
        verdict=TOO_FEW_BARS,
        is_promoted=False,
        reason=_too_few(n_bars, n_blocks),
        n_series=len(np.unique(paired.series)),
        n_rows=len(paired.y),
        n_bars=n_bars,
        n_blocks=n_blocks,
        challenger_log_loss=float(challenger.mean()),
        champion_log_loss=float(champion.mean()),
        climatology_log_loss=float(climatology.mean()),
        mean_difference=float(difference.mean()),
        mean_difference_se=_error(difference, blocks),
        climatology_difference=float(to_climatology.mean()),
        climatology_difference_se=_error(to_climatology, blocks),
    )
    if n_bars < MIN_BARS or n_blocks < MIN_BLOCKS:
        return found
    against = _describe(
        "the champions'", found.mean_difference, found.mean_difference_se
    )
    below = _describe(
        "climatology's",
        found.climatology_difference,
        found.climatology_difference_se,
    )
    where = f"on {n_bars} bars in {n_blocks} blocks of {found.n_series} series"
    if _exceeds(
        found.mean_difference, found.mean_difference_se, WORSE_BY_ERRORS
    ):
        return replace(found, verdict=WORSE, reason=f"worse {where}: {against}")
    if _exceeds(
        found.climatology_difference,
        found.climatology_difference_se,
        BELOW_CLIMATOLOGY_BY_ERRORS,
    ):
        return replace(
            found,
            verdict=BELOW_CLIMATOLOGY,
            reason=f"below climatology {where}: {below}",
        )
    return replace(
        found,
        verdict=NOT_WORSE,
        is_promoted=True,
        reason=f"not worse {where}: {against}; {below}",
    )


def promotion_block_bars(session_bars: int, horizon_bars: int) -> int:
    """Grid bars in a block: 5 sessions, 5 bars or a horizon, whatever is most.

    Examples
    --------
    >>> promotion_block_bars(1, 20), promotion_block_bars(26, 4)
    (20, 130)
    """
    return block_bars(horizon_bars, session_bars)


def _error(values: FloatArray, blocks: IntArray) -> float | None:
    error = block_standard_error(values, blocks)
    return error if np.isfinite(error) else None


def _exceeds(mean: float | None, error: float | None, by_errors: float) -> bool:
    assert mean is not None
    assert error is not None
    return mean > by_errors * error


def _describe(whose: str, mean: float | None, error: float | None) -> str:
    assert mean is not None
    assert error is not None
    return f"log loss less {whose} {mean:+.4f} +- {error:.4f}"


def _too_few(n_bars: int, n_blocks: int) -> str:
    return (
        f"the champions have forecast {n_bars} of the bars to compare, in "
        f"{n_blocks} blocks; {MIN_BARS} in {MIN_BLOCKS} are needed"
    )


@dataclass(frozen=True)
class Challenger:
    """A version that was trained and may take over.

    Parameters
    ----------
    symbol_id : int
    ticker : str
    version_id : str
    horizons : tuple of str
    load : callable
        Returns its horizon ensembles by name, with `validation`. Called only
        if there is a champion to compare with, because it may read a file.
    """

    symbol_id: int
    ticker: str
    version_id: str
    horizons: tuple[str, ...]
    load: Callable[[], Mapping[str, HorizonEnsemble]]


@dataclass(frozen=True)
class Cohort:
    """Versions of one cut that were trained, and are judged, together.

    Parameters
    ----------
    calendar, timeframe : str
    cut_id : int
    as_of : datetime
        Of the cut; deployments take effect then.
    challengers : tuple of Challenger
        Every series trained together, in the order of training, since weights
        are pulled towards those of all.
    """

    calendar: str
    timeframe: str
    cut_id: int
    as_of: datetime
    challengers: tuple[Challenger, ...]


@dataclass(frozen=True)
class Decision:
    """One row of `ml.promotions`.

    Parameters
    ----------
    horizon : str
    verdict : Verdict
    version_ids : tuple of str
        Challengers decided on.
    deployed_version_ids : tuple of str
        Those that take over.
    champion_version_ids : tuple of str
        Live until then and able to go on.
    """

    horizon: str
    verdict: Verdict
    version_ids: tuple[str, ...]
    deployed_version_ids: tuple[str, ...]
    champion_version_ids: tuple[str, ...]


def promote(
    warehouse: Warehouse,
    cohort: Cohort,
    *,
    mode: PromotionMode,
    reason: str,
    feature_names: Sequence[str],
    job_run_id: int,
) -> list[Decision]:
    """Decide on the versions of a training and deploy those that take over.

    Verdicts and deployments are written in one transaction. What was decided
    before is left alone, so the same call finishes what was interrupted and
    adds nothing after that. Versions that were kept for want of bars are
    judged again: the ledger may have been filled since.

    Parameters
    ----------
    warehouse : Warehouse
    cohort : Cohort
    mode : {"judge", "always", "never"}
        `always` deploys what was kept, too; `never` decides nothing, so that
        it can be judged later.
    reason : str
        Of the deployments.
    feature_names : sequence of str
        Features that there are now; a champion that needs others cannot go on.
    job_run_id : int

    Returns
    -------
    list of Decision
        Those made now, by horizon.
    """
    if mode == "never" or not cohort.challengers:
        return []
    with warehouse.begin() as connection:
        lock_deployments(connection, warehouse)
        decisions = _Court(warehouse, cohort, feature_names).decide(mode)
        if not decisions:
            return []
        connection.execute(
            schema.promotions.insert(),
            [
                _to_row(cohort, decision, mode=mode, job_run_id=job_run_id)
                for decision in decisions
            ],
        )
        insert_deployments(
            connection,
            _deployments(
                cohort,
                decisions,
                _earliest_starts(warehouse, cohort),
                reason=reason,
                job_run_id=job_run_id,
            ),
        )
    for decision in decisions:
        log_event(
            logger,
            "promotion_decided",
            timeframe=cohort.timeframe,
            horizon=decision.horizon,
            verdict=decision.verdict.verdict,
            deployed=len(decision.deployed_version_ids),
            of=len(decision.version_ids),
        )
    return decisions


def _to_row(
    cohort: Cohort, decision: Decision, *, mode: str, job_run_id: int
) -> dict[str, Any]:
    return {
        **asdict(decision.verdict),
        "job_run_id": job_run_id,
        "calendar": cohort.calendar,
        "timeframe": cohort.timeframe,
        "horizon": decision.horizon,
        "cut_id": cohort.cut_id,
        "as_of": cohort.as_of,
        "mode": mode,
        "version_ids": list(decision.version_ids),
        "deployed_version_ids": list(decision.deployed_version_ids),
        "champion_version_ids": list(decision.champion_version_ids),
        "rule": RULE,
    }


def _earliest_starts(
    warehouse: Warehouse, cohort: Cohort
) -> dict[int, datetime]:
    """When a series' version can be live, where its as-of time is too early.

    Not before what was decided since: after a rollback on the evening of the
    training an older version would take over at once. Nor before the bars that
    a live forecast by the version then deployed is on record of.
    """
    found = read_frame(
        warehouse,
        """
        select
            deployments.symbol_id,
            now() as starts_at
        from {ml}.deployments as deployments
        inner join {ml}.ensembles as ensembles
            on deployments.version_id = ensembles.version_id
        where
            deployments.timeframe = :timeframe
            and deployments.effective_at > :as_of
            -- What is planned for later takes over when its time comes.
            and deployments.effective_at <= now()
            and ensembles.as_of <= :as_of
        group by deployments.symbol_id
        union all
        select
            forecasts.symbol_id,
            max(forecasts.closed_at) + interval '1 microsecond'
        from {ml}.forecasts as forecasts
        where
            forecasts.timeframe = :timeframe
            and forecasts.run_kind = 'live'
            and forecasts.closed_at >= :as_of
            -- Bars of newer versions stay with these.
            and not exists (
                select 1
                from {ml}.deployments as newer
                inner join {ml}.ensembles as ensembles
                    on newer.version_id = ensembles.version_id
                where
                    newer.symbol_id = forecasts.symbol_id
                    and newer.timeframe = forecasts.timeframe
                    and newer.effective_at <= forecasts.closed_at
                    and ensembles.as_of > :as_of
            )
        group by forecasts.symbol_id
        """,
        {"timeframe": cohort.timeframe, "as_of": cohort.as_of},
    )
    latest = found.groupby("symbol_id")["starts_at"].max()
    return {
        int(symbol_id): time.to_pydatetime()
        for symbol_id, time in zip(latest.index, latest, strict=True)
    }


def _deployments(
    cohort: Cohort,
    decisions: Sequence[Decision],
    starts: Mapping[int, datetime],
    *,
    reason: str,
    job_run_id: int,
) -> list[dict[str, Any]]:
    """One row per series, for those of its horizons that take over."""
    rows = []
    for challenger in cohort.challengers:
        taken = {
            decision.horizon
            for decision in decisions
            if challenger.version_id in decision.deployed_version_ids
        }
        if taken:
            rows.append(
                {
                    "symbol_id": challenger.symbol_id,
                    "timeframe": cohort.timeframe,
                    "version_id": challenger.version_id,
                    "horizons": [h for h in challenger.horizons if h in taken],
                    "effective_at": starts.get(
                        challenger.symbol_id, cohort.as_of
                    ),
                    "reason": reason,
                    "job_run_id": job_run_id,
                }
            )
    return rows


class _Court:
    """Everything that deciding on one cohort reads."""

    def __init__(
        self,
        warehouse: Warehouse,
        cohort: Cohort,
        feature_names: Sequence[str],
    ) -> None:
        self.warehouse = warehouse
        self.cohort = cohort
        self.feature_names = feature_names

    def decide(self, mode: PromotionMode) -> list[Decision]:
        earlier = self._earlier_decisions()
        champions = self._champions()
        horizons = dict.fromkeys(
            name for one in self.cohort.challengers for name in one.horizons
        )
        scored: _Scored | None = None
        decisions = []
        for horizon in horizons:
            open_ = [
                one
                for one in self.cohort.challengers
                if horizon in one.horizons
                and _is_open(earlier.get((horizon, one.version_id)), mode)
            ]
            if not open_:
                continue
            facing = {
                one.symbol_id: champions[one.symbol_id, horizon]
                for one in open_
                if (one.symbol_id, horizon) in champions
            }
            if not facing:
                verdict = Verdict(
                    FIRST_VERSION,
                    True,
                    "no champion that could go on is live: deployed, with "
                    "climatology alone where the members do not beat it",
                )
            elif mode == "always":
                verdict = Verdict(FORCED, True, "deployed unjudged, as asked")
            else:
                scored = scored or _Scored(self.warehouse, self.cohort)
                verdict = scored.judge(horizon, facing)
            deployed = [
                one.version_id
                for one in open_
                if verdict.is_promoted or one.symbol_id not in facing
            ]
            decision = Decision(
                horizon,
                verdict,
                tuple(one.version_id for one in open_),
                tuple(deployed),
                tuple(facing.values()),
            )
            if not self._is_repeated(decision, earlier):
                decisions.append(decision)
        return decisions

    def _earlier_decisions(self) -> dict[tuple[str, str], "pd.Series[Any]"]:
        """The last decision on each horizon and version of the cohort."""
        rows = read_frame(
            self.warehouse,
            """
            select
                promotions.horizon,
                decided.version_id,
                promotions.verdict,
                promotions.reason,
                jsonb_exists(
                    promotions.deployed_version_ids, decided.version_id
                ) as is_deployed
            from {ml}.promotions as promotions
            cross join
                lateral jsonb_array_elements_text(promotions.version_ids)
                    as decided (version_id)
            where decided.version_id = any(:version_ids)
            order by promotions.promotion_id
            """,
            {
                "version_ids": [
                    one.version_id for one in self.cohort.challengers
                ]
            },
        )
        return {
            (str(row["horizon"]), str(row["version_id"])): row
            for _, row in rows.iterrows()
        }

    def _is_repeated(
        self,
        decision: Decision,
        earlier: Mapping[tuple[str, str], "pd.Series[Any]"],
    ) -> bool:
        """Whether it says again that there are too few bars, and no more."""
        return (
            decision.verdict.verdict == TOO_FEW_BARS
            and not decision.deployed_version_ids
            and all(
                (before := earlier.get((decision.horizon, version_id)))
                is not None
                and before["reason"] == decision.verdict.reason
                for version_id in decision.version_ids
            )
        )

    def _champions(self) -> dict[tuple[int, str], str]:
        """Version live at the as-of time, by series and horizon.

        One whose artifact is lost, or that needs other features or libraries,
        can forecast nothing and so defends nothing.
        """
        live = live_versions(self.warehouse, at=self.cohort.as_of)
        mine = {one.symbol_id for one in self.cohort.challengers}
        own = {one.version_id for one in self.cohort.challengers}
        live = live[
            live["symbol_id"].isin(mine)
            & (live["timeframe"] == self.cohort.timeframe)
            & ~live["version_id"].isin(own)
        ]
        versions = read_versions(
            self.warehouse, live["version_id"].unique().tolist()
        )
        able = set()
        verified: set[SharedArtifact] = set()
        for version_id, version in versions.items():
            problem = why_unusable(
                self.warehouse,
                version,
                self.feature_names,
                verified=verified,
            )
            if problem is None:
                able.add(version_id)
            else:
                log_event(
                    logger,
                    "champion_unusable",
                    version_id=version_id,
                    reason=problem,
                )
        return {
            (int(symbol_id), str(horizon)): str(version_id)
            for symbol_id, horizon, version_id in zip(
                live["symbol_id"],
                live["horizon"],
                live["version_id"],
                strict=True,
            )
            if version_id in able
        }


def _is_open(before: "pd.Series[Any] | None", mode: PromotionMode) -> bool:
    """Whether a horizon of a version still wants a decision."""
    if before is None:
        return True
    if before["is_deployed"]:
        return False
    return mode == "always" or before["verdict"] == TOO_FEW_BARS


class _Scored:
    """Time-ordered predictions of a cohort, matched to the ledger."""

    def __init__(self, warehouse: Warehouse, cohort: Cohort) -> None:
        self.warehouse = warehouse
        self.cohort = cohort
        self.loaded = {one.symbol_id: one.load() for one in cohort.challengers}
        grid = read_frame(
            warehouse,
            """
            select bar_number, closed_at, full_session_bars
            from {features}.bar_grid
            where
                calendar = :calendar
                and timeframe = :timeframe
                and closed_at <= :as_of
            """,
            {
                "calendar": cohort.calendar,
                "timeframe": cohort.timeframe,
                "as_of": cohort.as_of,
            },
        )
        self.session_bars = int(grid["full_session_bars"].max())
        self.bar_numbers = pd.Series(
            grid["bar_number"].to_numpy(),
            index=to_times(grid["closed_at"]),
        )

    def judge(self, horizon: str, facing: Mapping[int, str]) -> Verdict:
        """Compare the series that face a champion."""
        rows, horizon_bars = self._predict(horizon, facing)
        ledger = self._read_ledger(horizon, list(facing))
        matched = rows.merge(ledger, on=["symbol_id", "closed_at"])
        block_bars = promotion_block_bars(self.session_bars, horizon_bars)
        verdict = judge(
            PairedForecasts(
                series=matched["symbol_id"].to_numpy(),
                bar_numbers=matched["bar_number"].to_numpy(),
                challenger=_stack(matched, "challenger"),
                champion=_stack(matched, "champion"),
                climatology=_stack(matched, "climatology"),
                y=matched["y"].to_numpy(),
            ),
            block_bars=block_bars,
        )
        if verdict.verdict != TOO_FEW_BARS:
            return verdict
        return replace(
            verdict,
            reason=f"{verdict.reason}. "
            f"{self._advise(horizon, facing, rows, block_bars)}",
        )

    def _predict(
        self, horizon: str, facing: Mapping[int, str]
    ) -> tuple[pd.DataFrame, int]:
        """Scored validation rows of the series that face a champion."""
        ensembles = {
            symbol_id: loaded[horizon]
            for symbol_id, loaded in self.loaded.items()
            if horizon in loaded and loaded[horizon].validation is not None
        }
        validation = {
            symbol_id: ensemble.validation
            for symbol_id, ensemble in ensembles.items()
            if ensemble.validation is not None
        }
        horizon_bars = next(iter(ensembles.values())).horizon_bars
        scores = score_in_time_order(
            list(validation.values()),
            weighing_of(next(iter(validation.values())), horizon_bars),
        )
        frames = []
        for (symbol_id, predictions), score in zip(
            validation.items(), scores, strict=True
        ):
            if symbol_id not in facing:
                continue
            closed_at = predictions.closed_at[score.rows]
            frames.append(
                pd.DataFrame(
                    {
                        "symbol_id": symbol_id,
                        "closed_at": closed_at,
                        "bar_number": pd.Series(closed_at)
                        .map(self.bar_numbers)
                        .to_numpy(),
                        "y": predictions.y[score.rows],
                        **_split(
                            "challenger",
                            predictions_of_recipe(ensembles[symbol_id], score),
                        ),
                        **_split(
                            "climatology",
                            np.tile(
                                predictions.climatology, (len(score.rows), 1)
                            ),
                        ),
                    }
                )
            )
        return pd.concat(frames, ignore_index=True), horizon_bars

    def _read_ledger(
        self, horizon: str, symbol_ids: Sequence[int]
    ) -> pd.DataFrame:
        ledger = read_frame(
            self.warehouse,
            """
            select
                ledger.symbol_id,
                ledger.closed_at,
                ledger.probability_bearish as champion_0,
                ledger.probability_neutral as champion_1,
                ledger.probability_bullish as champion_2
            from {forecasting}.ledger as ledger
            inner join {ml}.ensembles as ensembles
                on
                    ledger.version_id = ensembles.version_id
                    and ledger.closed_at >= ensembles.as_of
            where
                ledger.timeframe = :timeframe
                and ledger.horizon = :horizon
                and ledger.symbol_id = any(:symbol_ids)
                and ledger.closed_at <= :as_of
            """,
            {
                "timeframe": self.cohort.timeframe,
                "horizon": horizon,
                "symbol_ids": list(symbol_ids),
                "as_of": self.cohort.as_of,
            },
        )
        return ledger.assign(closed_at=to_times(ledger["closed_at"]))

    def _advise(
        self,
        horizon: str,
        facing: Mapping[int, str],
        rows: pd.DataFrame,
        block_bars: int,
    ) -> str:
        """Say how the ledger can be filled, or that it cannot."""
        deployed = read_frame(
            self.warehouse,
            """
            select symbol_id, min(effective_at) as effective_at
            from {ml}.deployments
            where
                timeframe = :timeframe
                and jsonb_exists(horizons, :horizon)
                and symbol_id = any(:symbol_ids)
            group by symbol_id
            """,
            {
                "timeframe": self.cohort.timeframe,
                "horizon": horizon,
                "symbol_ids": list(facing),
            },
        )
        since = deployed.assign(effective_at=to_times(deployed["effective_at"]))
        could = rows.merge(since, on="symbol_id")
        could = could[could["closed_at"] >= could["effective_at"]]
        n_bars = could["bar_number"].nunique()
        n_blocks = (could["bar_number"] // block_bars).nunique()
        if n_bars < MIN_BARS or n_blocks < MIN_BLOCKS:
            return (
                f"A full ledger would hold {n_bars} bars in {n_blocks} blocks, "
                "so train again when the champions have forecast more, or "
                "deploy unjudged: the same command with --promote always"
            )
        tickers = [
            one.ticker
            for one in self.cohort.challengers
            if one.symbol_id in facing
        ]
        symbols = (
            f"--symbols {','.join(tickers)} "
            if len(tickers) <= MAX_TICKERS_NAMED
            else ""
        )
        return (
            "Fill the ledger with: swiftbolt forecast "
            f"{symbols}--timeframes {self.cohort.timeframe} --replay-from "
            f"{could['closed_at'].min():%Y-%m-%d}; then train again as of the "
            "same date"
        )


def _split(name: str, P: FloatArray) -> dict[str, FloatArray]:
    return {f"{name}_{i}": P[:, i] for i in range(P.shape[1])}


def _stack(frame: pd.DataFrame, name: str) -> FloatArray:
    stacked: FloatArray = frame[[f"{name}_{i}" for i in range(3)]].to_numpy(
        dtype=np.float64
    )
    return stacked
