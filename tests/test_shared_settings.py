"""Numbers that SQL, Python and the expectations share are the same in all."""

import yaml

from expectations.plugins.bars import ExpectLoadedBarsToBeThere
from python_ml.ingestion.screening import bounds
from python_ml.scoring import requirements
from python_ml.settings import PROJECT_ROOT

PROJECT = PROJECT_ROOT / "dbt_project" / "dbt_project.yml"
VARIABLES = yaml.safe_load(PROJECT.read_text())["vars"]


def test_prices_and_volumes_that_can_be_are_the_same_everywhere() -> None:
    expected = {
        "lowest_price": bounds.SMALLEST_PRICE,
        "highest_price": bounds.LARGEST_PRICE,
        "highest_volume": bounds.LARGEST_VOLUME,
    }
    fields = ExpectLoadedBarsToBeThere.__fields__
    assert {name: VARIABLES[name] for name in expected} == expected
    assert {name: fields[name].default for name in expected} == expected


def test_rows_that_a_series_needs_are_those_that_training_asks_for() -> None:
    assert VARIABLES["min_usable_rows"] == (
        requirements.MIN_FIT_ROWS + requirements.MIN_VALIDATION_ROWS
    )
