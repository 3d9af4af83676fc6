from pathlib import Path

import pytest

from python_ml.exceptions import SettingsError
from python_ml.settings import PROJECT_ROOT, default_home, load_settings


def test_with_nothing_set_the_embedded_server_is_meant(monkeypatch):
    monkeypatch.delenv("SWIFTBOLT_TARGET", raising=False)
    settings = load_settings({})
    assert settings.target == "embedded"
    assert settings.project_root == PROJECT_ROOT
    assert settings.schema("features") == "features"


def test_an_empty_variable_counts_as_not_set():
    names = ("SWIFTBOLT_HOME", "SWIFTBOLT_TARGET", "SWIFTBOLT_SCHEMA_PREFIX")
    assert load_settings(dict.fromkeys(names, "")) == load_settings({})


def test_everything_that_is_kept_is_below_home():
    settings = load_settings({"SWIFTBOLT_HOME": "/srv/bolt"})
    for path in (
        settings.artifacts_dir,
        settings.logs_dir,
        settings.server_dir,
    ):
        assert path.is_relative_to("/srv/bolt")


@pytest.mark.parametrize("home", ["somewhere", "./some where", "~/bolt"])
def test_home_is_made_absolute(home):
    assert load_settings({"SWIFTBOLT_HOME": home}).home.is_absolute()


def test_two_checkouts_of_root_have_different_homes():
    first = default_home(Path("/root/a/bolt"), is_root=True)
    assert first != default_home(Path("/root/b/bolt"), is_root=True)
    assert not first.is_relative_to("/root")


def test_an_unknown_target_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match="'oracle'; set it to 'embedded'"):
        load_settings({"SWIFTBOLT_TARGET": "oracle"})


@pytest.mark.parametrize(
    "prefix", ["Ann_", "1a_", "a-b", "a b", "a;drop table x", "ä_", "a" * 41]
)
def test_a_prefix_that_needs_quotes_or_is_too_long_is_refused(prefix):
    with pytest.raises(SettingsError, match="lower-case letters"):
        load_settings({"SWIFTBOLT_SCHEMA_PREFIX": prefix})


def test_a_prefix_stands_before_every_schema():
    settings = load_settings({"SWIFTBOLT_SCHEMA_PREFIX": "ann_"})
    assert settings.schema("raw") == "ann_raw"
