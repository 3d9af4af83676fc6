"""What is decided on a cohort, horizon by horizon; nothing is written here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from python_ml.registry.promotion.cohort import (
    Challenger,
    Cohort,
    read_champions,
)
from python_ml.registry.promotion.evidence import (
    advise,
    read_evidence,
    read_first_deployments,
)
from python_ml.registry.promotion.verdict import (
    FIRST_VERSION,
    FORCED,
    TOO_FEW_BARS,
    Verdict,
    reach_verdict,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

PromotionMode = Literal["judge", "always", "never"]
MODES: tuple[PromotionMode, ...] = get_args(PromotionMode)


@dataclass(frozen=True)
class EarlierDecision:
    """The last decision on a horizon of a version.

    Parameters
    ----------
    verdict, reason : str
        Of its verdict.
    is_deployed : bool
        Whether the version took over.
    """

    verdict: str
    reason: str
    is_deployed: bool


EarlierDecisions = Mapping[tuple[str, str], EarlierDecision]


@dataclass(frozen=True)
class Contest:
    """One horizon of a cohort on which a decision is due.

    Parameters
    ----------
    horizon : str
    challengers : tuple of Challenger
        Those that no decision has settled.
    champions : mapping of int to str
        Version that each of their series has, where it has one.
    """

    horizon: str
    challengers: tuple[Challenger, ...]
    champions: Mapping[int, str]


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


def decide(
    warehouse: Warehouse,
    cohort: Cohort,
    *,
    mode: PromotionMode,
    feature_names: Sequence[str],
) -> list[Decision]:
    """Decide on every horizon that is not settled.

    Parameters
    ----------
    warehouse : Warehouse
    cohort : Cohort
    mode : {"judge", "always"}
        `always` decides anew on what was kept, for it.
    feature_names : sequence of str
        Features that there are now; a champion that needs others cannot go on.

    Returns
    -------
    list of Decision
        By horizon, without those that would only say again that there are too
        few bars.
    """
    earlier = read_earlier_decisions(warehouse, cohort)
    champions = read_champions(warehouse, cohort, feature_names)
    contests = find_contests(cohort, earlier, champions, mode)
    verdicts = find_verdicts(warehouse, cohort, contests, mode)
    decisions = [
        _to_decision(contest, verdicts[contest.horizon]) for contest in contests
    ]
    return [
        decision
        for decision in decisions
        if not _is_repeated(decision, earlier)
    ]


def read_earlier_decisions(
    warehouse: Warehouse, cohort: Cohort
) -> EarlierDecisions:
    """The last decision on each horizon and version of the cohort."""
    rows = read_frame(
        warehouse,
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
                challenger.version_id for challenger in cohort.challengers
            ]
        },
    )
    return {
        (row["horizon"], row["version_id"]): EarlierDecision(
            row["verdict"], row["reason"], row["is_deployed"]
        )
        for row in rows.to_dict("records")
    }


def find_contests(
    cohort: Cohort,
    earlier: EarlierDecisions,
    champions: Mapping[tuple[int, str], str],
    mode: PromotionMode,
) -> list[Contest]:
    """Horizons that have challengers on which a decision is due."""
    contests = []
    for horizon in cohort.horizons:
        challengers = tuple(
            challenger
            for challenger in cohort.challengers
            if horizon in challenger.horizons
            and _is_due(earlier.get((horizon, challenger.version_id)), mode)
        )
        if challengers:
            contests.append(
                Contest(
                    horizon,
                    challengers,
                    {
                        challenger.symbol_id: champions[key]
                        for challenger in challengers
                        if (key := (challenger.symbol_id, horizon)) in champions
                    },
                )
            )
    return contests


def find_verdicts(
    warehouse: Warehouse,
    cohort: Cohort,
    contests: Sequence[Contest],
    mode: PromotionMode,
) -> dict[str, Verdict]:
    """Verdict on each contest, by horizon.

    Evidence is read only where there are champions to compare with.
    """
    verdicts = {
        contest.horizon: Verdict(
            FIRST_VERSION,
            True,
            "no champion that could go on is live: deployed, with "
            "climatology alone where the members do not beat it",
        )
        if not contest.champions
        else Verdict(FORCED, True, "deployed unjudged, as asked")
        for contest in contests
        if not contest.champions or mode == "always"
    }
    compared = {
        contest.horizon: set(contest.champions)
        for contest in contests
        if contest.horizon not in verdicts
    }
    if not compared:
        return verdicts
    evidence = read_evidence(warehouse, cohort, compared)
    verdicts |= {
        horizon: reach_verdict(found.paired, block_bars=found.block_bars)
        for horizon, found in evidence.items()
    }
    too_few = [
        horizon
        for horizon in compared
        if verdicts[horizon].verdict == TOO_FEW_BARS
    ]
    if too_few:
        first_deployments = read_first_deployments(warehouse, cohort)
        for horizon in too_few:
            advice = advise(cohort, evidence[horizon], first_deployments)
            verdicts[horizon] = replace(
                verdicts[horizon],
                reason=f"{verdicts[horizon].reason}. {advice}",
            )
    return verdicts


def _is_due(earlier: EarlierDecision | None, mode: PromotionMode) -> bool:
    """Whether a horizon of a version still wants a decision."""
    if earlier is None:
        return True
    if earlier.is_deployed:
        return False
    return mode == "always" or earlier.verdict == TOO_FEW_BARS


def _to_decision(contest: Contest, verdict: Verdict) -> Decision:
    """A series without a champion is deployed whatever the verdict."""
    return Decision(
        contest.horizon,
        verdict,
        version_ids=tuple(
            challenger.version_id for challenger in contest.challengers
        ),
        deployed_version_ids=tuple(
            challenger.version_id
            for challenger in contest.challengers
            if verdict.is_promoted
            or challenger.symbol_id not in contest.champions
        ),
        champion_version_ids=tuple(contest.champions.values()),
    )


def _is_repeated(decision: Decision, earlier: EarlierDecisions) -> bool:
    """Whether it says again that there are too few bars, and no more."""
    return (
        decision.verdict.verdict == TOO_FEW_BARS
        and not decision.deployed_version_ids
        and all(
            (before := earlier.get((decision.horizon, version_id))) is not None
            and before.reason == decision.verdict.reason
            for version_id in decision.version_ids
        )
    )
