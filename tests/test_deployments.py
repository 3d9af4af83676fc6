import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.registry.deployments import history, live_versions

DAY_2, DAY_3, DAY_4 = (f"2024-01-0{day} 21:00:00+00" for day in (2, 3, 4))


@pytest.fixture
def deployed(warehouse):
    """Five deployments of two series.

    The second is about 5d alone, so the first goes on for 1d until the fourth
    rolls back. The third and the fourth take effect at one time.
    """
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            """
            insert into raw.symbols (ticker, calendar, source)
            values ('AAPL', 'XNYS', 'test'), ('IBM', 'XNYS', 'test');
            insert into ml.training_cuts (
                calendar, timeframe, as_of, split, embargo_bars, window_bars,
                window_starts_at, fit_labels_end_before, validation_starts_at,
                scope
            )
            values (
                'XNYS', 'd1', '2024-01-01', '70/30', 1, 600, '2020-01-01',
                '2021-01-01', '2021-01-01', 'all'
            );
            """
        )
        connection.execute(
            schema.ensembles.insert(),
            [
                {
                    "version_id": name,
                    "symbol_id": 2 if name == "D" else 1,
                    "timeframe": "d1",
                    "as_of": "2024-01-01",
                    "cut_id": 1,
                    "artifact_path": f"{name}.joblib",
                    "sha256": "",
                    "horizons": ["1d", "5d"],
                    "feature_names": [],
                    "classes": [],
                    "data_fingerprint": name,
                    "settings_fingerprint": "",
                    "code_version": "",
                    "library_versions": {},
                }
                for name in "ABCD"
            ],
        )
        connection.execute(
            schema.deployments.insert(),
            [
                {
                    "symbol_id": symbol_id,
                    "timeframe": "d1",
                    "version_id": version_id,
                    "horizons": horizons,
                    "effective_at": effective_at,
                    "reason": "test",
                }
                for symbol_id, version_id, horizons, effective_at in (
                    (1, "A", ["1d", "5d"], DAY_2),
                    (1, "B", ["5d"], DAY_3),
                    (1, "C", ["1d"], DAY_4),
                    (1, "A", ["1d"], DAY_4),
                    (2, "D", ["1d"], "2024-01-02 22:00:00+00"),
                )
            ],
        )
    return warehouse


def test_a_deployment_holds_for_its_horizons_until_the_next_of_each(deployed):
    with deployed.begin() as connection:
        spans = connection.execute(
            sa.text(
                """
                select
                    deployment_id, horizon, version_id,
                    cast(superseded_at as text)
                from ml.deployment_spans
                order by deployment_id, horizon
                """
            )
        ).all()
    assert [tuple(row) for row in spans] == [
        (1, "1d", "A", DAY_4),
        (1, "5d", "A", DAY_3),
        (2, "5d", "B", None),
        # Never live: the last written of those of one time holds.
        (3, "1d", "C", DAY_4),
        (4, "1d", "A", None),
        (5, "1d", "D", None),
    ]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2024-01-02 20:59:59+00", {}),
        (DAY_2, {"1d": "A", "5d": "A"}),
        (DAY_3, {"1d": "A", "5d": "B"}),
        (DAY_4, {"1d": "A", "5d": "B"}),
    ],
)
def test_what_is_live_is_the_deployment_whose_span_holds_the_time(
    deployed, at, expected
):
    live = live_versions(deployed, at=pd.Timestamp(at).to_pydatetime())
    live = live[live["ticker"] == "AAPL"]
    assert (
        dict(zip(live["horizon"], live["version_id"], strict=True)) == expected
    )


def test_what_is_live_is_known_before_anything_was_built(deployed):
    assert history(deployed)["version_id"].tolist() == list("ACAABD")
