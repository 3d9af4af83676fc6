"""Each fault planted in the SQL is reported by the test meant for it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from python_ml.cuts import end_of_day, ensure_cuts
from python_ml.exceptions import BuildError
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt

FAULTS = {
    "lead for lag in a feature": (
        "macros/trailing.sql",
        "lag({{ expression }}",
        "lead({{ expression }}",
        "int_bars_averaged_to_volatility",
        ["a_move_looks_back_one_bar_of_its_own_series"],
    ),
    "an ascending window made descending": (
        "macros/trailing.sql",
        "order by bar_number asc",
        "order by bar_number desc",
        "int_bars_averaged_to_volatility",
        ["a_move_looks_back_one_bar_of_its_own_series"],
    ),
    "<= for < at the split": (
        "models/features/training_examples.sql",
        "labels.label_end_at < cuts.fit_labels_end_before",
        "labels.label_end_at <= cuts.fit_labels_end_before",
        "training_examples",
        [
            "rows_whose_label_ends_at_the_boundary_are_purged",
            "is_empty_audit_label_crosses_cut_",
        ],
    ),
    "purge removed": (
        "models/features/training_examples.sql",
        "labels.label_end_at < cuts.fit_labels_end_before",
        "labels.closed_at < cuts.validation_starts_at",
        "training_examples",
        [
            "rows_whose_label_ends_at_the_boundary_are_purged",
            "is_empty_audit_label_crosses_cut_",
        ],
    ),
    "label_end_at moved back": (
        "models/intermediate/labels/int_horizons_laid_on_grid.sql",
        "ends.closed_at as label_end_at",
        "ends.closed_at - interval '1 hour' as label_end_at",
        "int_bars_matched_to_targets",
        [
            "a_hole_in_the_bars_does_not_pull_a_later_bar_into_its_place",
            "is_empty_audit_label_end_off_grid_",
        ],
    ),
    "a later higher-timeframe bar joined": (
        "models/features/bar_grid.sql",
        "then sessions.week_number - 1",
        "then sessions.week_number",
        "bar_grid",
        [
            "sessions_look_up_to_the_last_closed_week",
            "feature_rows_use_no_later_higher_bar",
        ],
    ),
}


@pytest.fixture(scope="module")
def cut_sample(
    built_sample: Warehouse, fresh_warehouse: Callable[..., Warehouse]
) -> Warehouse:
    """The built sample with a cut, as training leaves it."""
    built_sample.close()
    made = fresh_warehouse(template=built_sample.parameters.database)
    ensure_cuts(
        made,
        {"XNYS": end_of_day(date(2012, 6, 29))},
        [("XNYS", "d1"), ("XNYS", "w1")],
    )
    made.close()
    return made


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_reported_by_name(
    fault: str,
    cut_sample: Warehouse,
    fresh_warehouse: Callable[..., Warehouse],
    tmp_path: Path,
) -> None:
    file, sound, faulty, node, expected = FAULTS[fault]
    root = tmp_path / "planted"
    shutil.copytree(
        PROJECT_ROOT / "dbt_project",
        root / "dbt_project",
        ignore=shutil.ignore_patterns("target", "logs"),
    )
    shutil.copy(PROJECT_ROOT / "profiles.yml", root)
    path = root / "dbt_project" / file
    text = path.read_text()
    assert text.count(sound) == 1
    path.write_text(text.replace(sound, faulty))

    with fresh_warehouse(template=cut_sample.parameters.database) as warehouse:
        planted = replace(
            warehouse, settings=replace(warehouse.settings, project_root=root)
        )
        reported = failure_of(planted, "test", f"{node},test_type:unit")
        # A unit test stops a build, so what runs behind it is run alone.
        if not all(name in reported for name in expected):
            reported += failure_of(
                planted,
                "build",
                f"{node}+",
                "--full-refresh",
                "--exclude-resource-type",
                "unit_test",
            )
        for name in expected:
            assert name in reported, reported


def failure_of(
    warehouse: Warehouse, command: str, selection: str, *options: str
) -> str:
    with pytest.raises(BuildError) as failure:
        run_dbt(warehouse, [command, "--select", selection, *options])
    return str(failure.value)
