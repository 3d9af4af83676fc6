import numpy as np
import pytest

from python_ml.exceptions import SettingsError
from python_ml.forecasting.trust import (
    FACTS,
    TrustRule,
    judge,
    read_rules,
)
from python_ml.settings import load_settings
from python_ml.warehouse.seeds import read_seed
from tests.small_market import execute

CLEAN = {
    "version_age_days": 20.0,
    "is_late": False,
    "n_carried_bars": 0,
    "n_features_beyond": 1,
    "is_coverage_broken": False,
    "is_climatology_alone": False,
    "days_since_forecast": 1.0,
}


@pytest.fixture(scope="module")
def rules() -> list[TrustRule]:
    seed = read_seed(load_settings({}), "trust_rules")
    return [
        TrustRule(
            row["reason"],
            row["verdict"],
            None if np.isnan(row["threshold"]) else row["threshold"],
        )
        for row in seed.to_dict("records")
    ]


def judged(rules, **facts):
    rows = {name: np.array([value]) for name, value in (CLEAN | facts).items()}
    verdicts, reasons = judge(rows, rules)
    return verdicts[0], reasons[0]


def test_a_forecast_against_which_nothing_speaks_is_published(rules):
    assert judged(rules) == ("publish", [])


@pytest.mark.parametrize(
    ("fact", "value", "reason"),
    [
        ("version_age_days", 61.0, "version_old"),
        ("is_late", True, "late"),
        ("n_carried_bars", 7, "holes_nearby"),
        ("n_features_beyond", 6, "features_beyond_training"),
        ("is_coverage_broken", True, "coverage_broken"),
        ("is_climatology_alone", True, "climatology_alone"),
        ("days_since_forecast", 22.0, "not_forecast_lately"),
    ],
)
def test_each_reason_asks_for_caution(rules, fact, value, reason):
    assert judged(rules, **{fact: value}) == ("caution", [reason])


def test_the_gravest_reason_counts_and_all_are_named(rules):
    verdict, reasons = judged(rules, version_age_days=200.0, is_late=True)
    assert verdict == "withhold"
    assert set(reasons) == {"late", "version_old", "version_expired"}


def test_what_is_not_known_is_no_reason(rules):
    assert judged(rules, n_carried_bars=np.nan) == ("publish", [])


def test_every_fact_has_a_rule(rules):
    assert {rule.reason for rule in rules} == set(FACTS)


def test_an_unknown_reason_is_refused_with_the_remedy(market_warehouse):
    execute(
        market_warehouse,
        "update {forecasting}.trust_rules set reason = 'mood' "
        "where reason = 'late'",
    )
    with pytest.raises(SettingsError, match=r"trust_rules has mood.*build"):
        read_rules(market_warehouse)
