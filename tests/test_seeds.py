from dataclasses import replace

import pytest

from python_ml.exceptions import SettingsError
from python_ml.settings import load_settings
from python_ml.warehouse.seeds import (
    intraday_minutes,
    read_seed,
)


@pytest.fixture
def project(tmp_path):
    """Settings of a project with an empty folder of seeds."""
    (tmp_path / "dbt_project" / "seeds").mkdir(parents=True)
    return replace(load_settings({}), project_root=tmp_path)


def write_seed(project, text):
    path = project.dbt_project_dir / "seeds" / "timeframes.csv"
    path.write_text(text)


def test_a_seed_is_read_as_it_stands(project):
    write_seed(project, "timeframe,minutes\nm15,15\nd1,\n")

    rows = read_seed(project, "timeframes")

    assert rows["timeframe"].tolist() == ["m15", "d1"]
    assert rows["minutes"].isna().tolist() == [False, True]


def test_timeframes_without_minutes_take_whole_sessions(project):
    write_seed(project, "timeframe,minutes\nm5,5\nh1,60\nd1,\nw1,\n")

    assert intraday_minutes(project) == {"m5": 5, "h1": 60}


def test_the_projects_own_intraday_timeframes_are_these():
    assert intraday_minutes(load_settings({})) == {
        "m15": 15,
        "h1": 60,
        "h4": 240,
    }


def test_a_seed_that_is_not_there_is_named_with_what_brings_it_back(project):
    with pytest.raises(SettingsError, match=r"'nope' .*: git checkout -- .*"):
        read_seed(project, "nope")


def test_every_timeframe_has_a_scale_for_each_place_of_a_horizon():
    """Without one its horizons would silently be gone."""
    settings = load_settings({})
    scales = read_seed(settings, "forecast_scales")
    timeframes = read_seed(settings, "timeframes")["timeframe"]
    found = set(zip(scales["timeframe"], scales["horizon_place"], strict=True))
    assert found == {
        (name, place) for name in timeframes for place in (1, 2, 3)
    }
    assert set(read_seed(settings, "band_windows")["timeframe"]) == set(
        timeframes
    )
