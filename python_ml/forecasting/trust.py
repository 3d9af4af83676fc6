"""How far each forecast can be trusted, and why not further."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from python_ml.exceptions import SettingsError
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

VERDICTS = ("publish", "caution", "withhold")

# What is known of a forecast beside its row, by reason; each is compared with
# the threshold of its rule, or is true or false where that has none.
FACTS = {
    "version_old": "version_age_days",
    "version_expired": "version_age_days",
    "late": "is_late",
    "holes_nearby": "n_carried_bars",
    "features_beyond_training": "n_features_beyond",
    "coverage_broken": "is_coverage_broken",
    "climatology_alone": "is_climatology_alone",
    "not_forecast_lately": "days_since_forecast",
}

RULES_QUERY = """
    select reason, verdict, threshold
    from {forecasting}.trust_rules
    order by reason
"""


@dataclass(frozen=True, slots=True)
class TrustRule:
    """One reason not to publish a forecast.

    Parameters
    ----------
    reason : str
        One of `FACTS`.
    verdict : str
        `caution` or `withhold`.
    threshold : float or None
        The fact must exceed it; None where it is true or false.
    """

    reason: str
    verdict: str
    threshold: float | None


def read_rules(warehouse: Warehouse) -> list[TrustRule]:
    """Rules of the seed `trust_rules`.

    Raises
    ------
    SettingsError
        If a reason or a verdict is unknown.
    """
    rules = [
        TrustRule(
            str(reason),
            str(verdict),
            None if pd.isna(threshold) else float(threshold),
        )
        for reason, verdict, threshold in read_frame(
            warehouse, RULES_QUERY
        ).itertuples(index=False)
    ]
    for rule in rules:
        if rule.reason not in FACTS or rule.verdict not in VERDICTS[1:]:
            raise SettingsError(
                f"The seed trust_rules has {rule.reason}: {rule.verdict}; "
                f"reasons are {', '.join(FACTS)}, verdicts "
                f"{' and '.join(VERDICTS[1:])}. Change the seed and run: "
                "swiftbolt build"
            )
    return rules


def judge(
    facts: Mapping[str, npt.ArrayLike], rules: Sequence[TrustRule]
) -> tuple[npt.NDArray[np.object_], list[list[str]]]:
    """Verdict and reasons of each forecast.

    Parameters
    ----------
    facts : mapping of str to array-like of shape (n,)
        The values of `FACTS`; NaN where one is not known, which is no reason.
    rules : sequence of TrustRule

    Returns
    -------
    verdicts : ndarray of shape (n,)
        The gravest of all rules that hold, `publish` where none does.
    reasons : list of list of str
        Those that hold, in the order of the rules.

    Examples
    --------
    >>> rules = [
    ...     TrustRule("late", "caution", None),
    ...     TrustRule("version_expired", "withhold", 180.0),
    ... ]
    >>> verdicts, reasons = judge(
    ...     {"is_late": [False, True], "version_age_days": [181, 180]}, rules
    ... )
    >>> verdicts.tolist(), reasons
    (['withhold', 'caution'], [['version_expired'], ['late']])
    """
    n_rows = len(np.asarray(facts[FACTS["late"]]))
    gravest = np.zeros(n_rows, dtype=np.int64)
    reasons: list[list[str]] = [[] for _ in range(n_rows)]
    for rule in rules:
        fact = np.asarray(facts[FACTS[rule.reason]])
        holds = (
            fact.astype(bool)
            if rule.threshold is None
            else fact.astype(np.float64) > rule.threshold
        )
        gravest = np.where(
            holds, np.maximum(gravest, VERDICTS.index(rule.verdict)), gravest
        )
        for row in np.flatnonzero(holds):
            reasons[row].append(rule.reason)
    return np.array(VERDICTS, dtype=object)[gravest], reasons
