"""What was known when: builds of the past and the records they rest on."""

import dataclasses
import datetime
import json
from collections.abc import Callable

import click
import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml.cli.daily import build
from python_ml.examples.cuts import (
    end_of_day,
    ensure_cuts,
)
from python_ml.exceptions import BuildError
from python_ml.forecasting.issue import forecast
from python_ml.ingestion.base import BarSource
from python_ml.ingestion.load import ingest
from python_ml.operations import daily as pipeline
from python_ml.schema import ensemble_weights, training_cuts
from python_ml.warehouse import dbt
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.dbt_manifest import kept_manifest
from tests import forecast_market
from tests.conftest import BUILD_WITHOUT_TESTS
from tests.forecast_market import close_of
from tests.restated_market import (
    AS_OF,
    INTRADAY_RESTATED,
    LATER,
    RESTATED,
    RestatedIntradaySource,
    RestatedSource,
    intraday_as_of,
)
from tests.synthetic_market import SPLIT, sessions

KEYS = {
    "bars": "symbol_id, timeframe, bar_number",
    "feature_rows": "symbol_id, timeframe, bar_number",
    "labels": "symbol_id, timeframe, horizon, bar_number",
    "training_examples": "cut_id, symbol_id, timeframe, horizon, bar_number",
}
YEAR = datetime.timedelta(days=365)
TELLING_OF_JOBS = ("stg_ml__job_runs", "job_costs")
LIVE_SCHEMAS = (
    "staging",
    "intermediate",
    "features",
    "forecasting",
    "monitoring",
    "leakage_audit",
)


def tables(warehouse: Warehouse, *, past: str = "") -> dict[str, pd.DataFrame]:
    """Tables of a build by name, each in the order of its key."""
    prefix = warehouse.settings.schema_prefix + past
    with warehouse.with_prefix(prefix) as there:
        return {
            name: read_frame(
                there, f"select * from {{features}}.{name} order by {key}"
            )
            for name, key in KEYS.items()
        }


def relations(warehouse: Warehouse) -> dict[tuple[str, str], tuple[int, str]]:
    """Every relation of the live schemas: which one it is and what it holds.

    But for those that tell of jobs, of which a build of the past is one.
    """
    with warehouse.begin() as connection:
        found = connection.exec_driver_sql(
            "select relnamespace::regnamespace::text, relname, oid::int "
            "from pg_class where relkind in ('r', 'v') "
            "and relnamespace::regnamespace::text = any(%s)",
            ([warehouse.settings.schema(name) for name in LIVE_SCHEMAS],),
        ).all()
        return {
            (schema, name): (
                oid,
                connection.exec_driver_sql(
                    f"select md5(string_agg(md5(one::text), '' order by "
                    f'md5(one::text))) from "{schema}"."{name}" as one'
                ).scalar_one(),
            )
            for schema, name, oid in found
            if name not in TELLING_OF_JOBS
        }


@pytest.fixture(scope="module")
def original(
    fresh_warehouse: Callable[..., Warehouse], synthetic_database: str
) -> Warehouse:
    """The synthetic market, built, with cuts as of `AS_OF`."""
    made = fresh_warehouse(template=synthetic_database)
    ensure_cuts(made, {"XNYS": end_of_day(AS_OF)}, [("XNYS", "d1")])
    return made


@pytest.fixture(scope="module")
def original_intraday(
    fresh_warehouse: Callable[..., Warehouse], intraday_database: str
) -> Warehouse:
    """The intraday market, built, with a cut for each timeframe."""
    made = fresh_warehouse(template=intraday_database)
    timeframes = [("XNYS", name) for name in ("m15", "h1", "h4", "d1")]
    cuts = ensure_cuts(made, {"XNYS": intraday_as_of()}, timeframes)
    # Training wants more weeks. Their rows are divided as the days are, later,
    # since the first of them are warm late.
    _, days = cuts["XNYS", "d1"]
    later = datetime.timedelta(weeks=12)
    weeks = dataclasses.replace(
        days,
        timeframe="w1",
        fit_labels_end_before=days.fit_labels_end_before + later,
        validation_starts_at=days.validation_starts_at + later,
    )
    with made.begin() as connection:
        connection.execute(
            sa.insert(training_cuts).values(dataclasses.asdict(weeks))
        )
    return made


@dataclasses.dataclass(frozen=True)
class Story:
    """A market built, what is told of it later and an as-of time before that.

    `prefix` is that of the as-of time's schemas.
    """

    original: Warehouse
    later: BarSource
    as_of: datetime.datetime
    prefix: str
    n_bars: int
    timeframes: set[str]


# The intraday market has days and weeks as well.
@pytest.fixture(
    params=[pytest.param("daily", marks=pytest.mark.slow), "intraday"]
)
def story(request: pytest.FixtureRequest) -> Story:
    if request.param == "daily":
        return Story(
            original=request.getfixturevalue("original"),
            later=RestatedSource(),
            as_of=end_of_day(AS_OF),
            prefix=f"asof_{AS_OF:%Y%m%d}_",
            n_bars=len(RESTATED),
            timeframes={"d1"},
        )
    as_of = intraday_as_of()
    return Story(
        original=request.getfixturevalue("original_intraday"),
        later=RestatedIntradaySource(),
        as_of=as_of,
        prefix=f"asof_{as_of:%Y%m%dt%H%M%S}_",
        n_bars=len(INTRADAY_RESTATED),
        timeframes={"m15", "h1", "h4", "d1", "w1"},
    )


def test_a_training_set_rebuilt_after_restatements_is_the_same_row_for_row(
    story: Story, fresh_warehouse: Callable[..., Warehouse]
) -> None:
    story.original.close()
    template = story.original.parameters.database
    with fresh_warehouse(template=template) as warehouse:
        selection = [*BUILD_WITHOUT_TESTS, "--select", "+training_examples"]
        past = [
            *selection,
            "--full-refresh",
            "--vars",
            json.dumps({"as_of": story.as_of.isoformat()}),
        ]
        run_dbt(warehouse, past)
        before = tables(warehouse, past=story.prefix)
        live_before = tables(warehouse)

        restated = ingest(warehouse, story.later, now=story.as_of + YEAR)
        assert restated.bars_restated == story.n_bars
        assert restated.adjustments_restated == 1
        run_dbt(warehouse, past)
        after = tables(warehouse, past=story.prefix)
        run_dbt(warehouse, selection)
        live_after = tables(warehouse)

    for name in KEYS:
        pd.testing.assert_frame_equal(
            before[name], after[name], check_exact=True
        )
    # What the later records would have done to it, had they got in.
    examples = live_before["training_examples"]
    is_changed = (live_after["training_examples"] != examples).any(axis=1)
    assert is_changed.sum() > 100
    assert set(examples.loc[is_changed, "timeframe"]) == story.timeframes
    examples = before["training_examples"]
    n_fit = examples[examples["split_part"] == "fit"][
        "timeframe"
    ].value_counts()
    assert n_fit.sum() > 100
    assert set(n_fit.index) == story.timeframes
    assert before["bars"]["closed_at"].max() <= story.as_of
    assert before["bars"]["max_recorded_at"].max() <= story.as_of


def test_a_build_of_the_past_leaves_every_live_relation_as_it_is(
    original: Warehouse, fresh_warehouse: Callable[..., Warehouse]
) -> None:
    original.close()
    with fresh_warehouse(template=original.parameters.database) as warehouse:
        ingest(warehouse, RestatedSource(), now=LATER)
        live = relations(warehouse)
        assert len(live) > 40
        summary = pipeline.build(warehouse, as_of=end_of_day(AS_OF))
        assert summary.dbt.counts["pass"] > 50
        # The vars of a build reach its unit tests too. What comes from before
        # that time is chosen in staging.
        unit = ["test", "--select", "test_type:unit,path:models/staging"]
        run_dbt(warehouse, [*unit, "--vars", f"as_of: {AS_OF}"])
        assert relations(warehouse) == live
        made = read_frame(
            warehouse,
            "select table_schema || '.' || table_name as relation "
            "from information_schema.tables "
            "where table_schema like 'asof%'",
        )
        jobs = read_frame(
            warehouse, "select arguments from {ml}.job_runs where job = 'build'"
        )
    prefix = f"asof_{AS_OF:%Y%m%d}_"
    assert set(made["relation"]) == {
        f"{prefix}{schema}.{name}"
        for schema, name in [
            *live,
            ("staging", "stg_ml__job_runs"),
            ("monitoring", "job_costs"),
        ]
    }
    assert jobs["arguments"][0] == {"as_of": end_of_day(AS_OF).isoformat()}


BUILD_MONITORING = [
    *BUILD_WITHOUT_TESTS,
    "--select",
    "path:models/staging/ml",
    "+latest_forecasts",
    "+forecast_cascade",
    "+consensus_forecasts",
    "+multi_horizon_summary",
    "+forecast_changes",
    "+forecast_volume",
    "+member_contributions",
    "+leaderboard",
    "+band_coverage",
    "+weight_history",
    "+drift_status",
    "+class_shares",
]
PAST = close_of(-12)
PAST_PREFIX = f"asof_{PAST:%Y%m%dt%H%M%S}_"


def of_the_past(as_of: datetime.datetime) -> list[str]:
    """Options with which `pipeline.build` builds what was known then."""
    return ["--full-refresh", "--vars", f"{{as_of: '{as_of.isoformat()}'}}"]


@pytest.fixture(scope="module")
def forecast_to_its_end(
    fresh_warehouse: Callable[..., Warehouse], market_database: str
) -> Warehouse:
    """Of AAA two versions, the second, like that of BBB, from bar -8 on."""
    made = fresh_warehouse(template=market_database)
    for ticker, session in (("AAA", -30), ("AAA", -8), ("BBB", -8)):
        ensemble = forecast_market.make_ensemble(
            made, ticker=ticker, as_of=close_of(session)
        )
        forecast_market.deploy(made, ensemble)
        with made.begin() as connection:
            connection.execute(
                sa.insert(ensemble_weights),
                [
                    {
                        "version_id": ensemble.version_id,
                        "horizon": horizon,
                        "member": member,
                        "weight": weight,
                        "method": "ridge",
                        "reason": "test",
                    }
                    for horizon, one in ensemble.horizons.items()
                    for member, weight in one.weights.items()
                ],
            )
    forecast(made, replay_from=close_of(-20).date())
    run_dbt(made, BUILD_MONITORING)
    run_dbt(made, [*BUILD_MONITORING, *of_the_past(PAST)])
    return made


def test_a_build_of_the_past_shows_no_forecast_and_no_version_of_its_future(
    forecast_to_its_end: Warehouse,
) -> None:
    warehouse, as_of, past = forecast_to_its_end, PAST, PAST_PREFIX

    def last(relation: str, time: str, *, past: str) -> pd.Timestamp:
        query = f"select max({time}) as last from {past}{relation}"
        return read_frame(warehouse, query)["last"][0]

    for relation, time in (
        ("staging.stg_ml__forecasts", "closed_at"),
        ("staging.stg_ml__deployment_spans", "effective_at"),
        ("staging.stg_ml__ensembles", "as_of"),
        ("staging.stg_ml__training_runs", "as_of"),
        ("staging.stg_ml__training_cuts", "as_of"),
        ("forecasting.latest_forecasts", "closed_at"),
        ("forecasting.forecast_cascade", "closed_at"),
        ("forecasting.consensus_forecasts", "closed_at"),
        ("forecasting.multi_horizon_summary", "closed_at"),
        ("forecasting.forecast_outcomes", "settled_at"),
        ("monitoring.forecast_changes", "closed_at"),
        ("monitoring.member_contributions", "closed_at"),
        ("monitoring.weight_history", "effective_at"),
        ("features.training_examples", "as_of"),
        ("features.class_shares", "as_of"),
    ):
        assert last(relation, time, past="") > as_of, relation
        assert last(relation, time, past=past) <= as_of, relation
    assert last("forecasting.latest_forecasts", "closed_at", past=past) == as_of
    versions = read_frame(
        warehouse,
        f"select version_id from {past}staging.stg_ml__ensemble_weights "
        f"union select version_id from {past}monitoring.weight_history "
        "where superseded_at is null",
    )
    assert versions["version_id"].tolist() == [
        f"AAA_d1_{close_of(-30):%Y%m%dT%H%M%SZ}"
    ]
    judged = read_frame(
        warehouse, f"select ticker from {past}monitoring.drift_status"
    )
    assert set(judged["ticker"]) == {"AAA"}


def test_a_build_of_the_past_makes_outcomes_anew_and_the_live_one_does_not(
    forecast_to_its_end: Warehouse,
) -> None:
    warehouse = forecast_to_its_end

    def outcomes(schema: str) -> pd.DataFrame:
        return read_frame(
            warehouse,
            f"select * from {schema}.forecast_outcomes order by forecast_id",
        )

    past = f"{PAST_PREFIX}forecasting"
    made = outcomes(past)
    assert len(made) > 5
    for schema in (past, "forecasting"):
        with warehouse.begin() as connection:
            connection.exec_driver_sql(
                f"update {schema}.forecast_outcomes set log_loss = 7"
            )
    run = ["run", "--select", "forecast_outcomes"]
    run_dbt(warehouse, [*run, *of_the_past(PAST)])
    pd.testing.assert_frame_equal(outcomes(past), made)
    run_dbt(warehouse, [*run, "--full-refresh"])
    assert set(outcomes("forecasting")["log_loss"]) == {7}


@pytest.mark.parametrize(
    ("as_of", "prefix", "schema"),
    [
        ("2012-06-29", "", "asof_20120629_features"),
        ("2012-06-29T15:30:00Z", "ann_", "ann_asof_20120629t153000_features"),
        ("2012-06-29 15:30", "", "asof_20120629t153000_features"),
        ("2012-06-29T17:30:00+02:00", "", "asof_20120629t153000_features"),
        (
            "'2012-06-29T15:30:00.5'",
            "",
            "asof_20120629t153000f500000_features",
        ),
    ],
)
def test_a_build_of_the_past_has_schemas_of_its_own(
    module_warehouse: Warehouse, as_of: str, prefix: str, schema: str
) -> None:
    assert schema_of_features(module_warehouse, as_of, prefix) == schema


@pytest.mark.parametrize(
    ("as_of", "prefix", "message"),
    [
        ("yesterday", "", "as_of is 'yesterday'; use a date like 2012-06-29"),
        ("2012-06", "", "use a date like 2012-06-29"),
        ("2012-06-29", "a" * 40, "longer than 63 characters"),
    ],
)
def test_a_time_that_is_none_and_a_name_too_long_are_refused(
    module_warehouse: Warehouse, as_of: str, prefix: str, message: str
) -> None:
    settings = dataclasses.replace(
        module_warehouse.settings, schema_prefix=prefix
    )
    warehouse = dataclasses.replace(module_warehouse, settings=settings)
    with pytest.raises(BuildError, match=message):
        run_dbt(warehouse, ["list", "--vars", f"as_of: {as_of}"])


def schema_of_features(warehouse: Warehouse, as_of: str, prefix: str) -> str:
    """Where dbt would build the features of a time.

    Asked of the project as it is parsed without the time, since parsing takes
    far longer than to say it.
    """
    inline = ["compile", "--inline"]
    parsed = []

    def keep(*arguments):
        parsed.append(kept_manifest(*arguments))
        return parsed[0]

    prefixed = dataclasses.replace(warehouse.settings, schema_prefix=prefix)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dbt, "kept_manifest", keep)
        run_dbt(warehouse, [*inline, "select 1"])
        patch.setattr(dbt, "kept_manifest", lambda *_: parsed[0])
        compiled = run_dbt(
            dataclasses.replace(warehouse, settings=prefixed),
            [
                *inline,
                "{{ generate_schema_name('features', none) }}",
                "--vars",
                f"as_of: {as_of}",
            ],
        )
    (inlined,) = compiled.output.results
    return str(inlined.node.compiled_code).strip()


def lineage(
    warehouse: Warehouse,
    bar_number: int,
    *,
    cut_id: int = 1,
    timeframe: str = "d1",
    horizon: str = "5d",
) -> pd.DataFrame:
    """What the documented query says of PAIR's example of a bar."""
    example = {
        "cut_id": cut_id,
        "ticker": "PAIR",
        "timeframe": timeframe,
        "horizon": horizon,
        "bar_number": bar_number,
    }
    compiled = run_dbt(
        warehouse,
        [
            "compile",
            "--select",
            "training_example_lineage",
            "--vars",
            json.dumps({"example": example}),
        ],
    )
    (analysis,) = compiled.output.results
    return read_frame(warehouse, analysis.node.compiled_code)


def test_a_training_example_is_traced_to_the_records_it_was_made_from(
    original: Warehouse, fresh_warehouse: Callable[..., Warehouse]
) -> None:
    original.close()
    days = sessions()
    with fresh_warehouse(template=original.parameters.database) as warehouse:
        restated = ingest(warehouse, RestatedSource(), now=LATER)
        run_dbt(
            warehouse,
            [
                *BUILD_WITHOUT_TESTS,
                "--select",
                "+training_examples",
                "stg_market__bar_records",
            ],
        )
        numbers = read_frame(
            warehouse,
            "select session_date, bar_number from {features}.bars "
            "where ticker = 'PAIR' and timeframe = 'd1' order by bar_number",
        )["bar_number"].tolist()
        at = {
            session: lineage(warehouse, numbers[session])
            for session in (295, 299, 360, 361, SPLIT + 1)
        }

    # Restated are sessions 300, SPLIT - 2 and the dividend.
    parts = {
        session: sorted(
            {
                *trace.loc[
                    trace["batch_id"] == restated.batch_id, "part"
                ].tolist()
            }
        )
        for session, trace in at.items()
    }
    # The last is in the label's span of the session after the split.
    after_split = parts.pop(SPLIT + 1)
    assert {"adjustment", "features"} <= set(after_split)
    assert parts == {
        295: ["label"],
        299: [],
        360: ["features", "higher timeframe"],
        361: ["higher timeframe"],
    }
    trace = at[360]
    own = trace[trace["part"] == "features"]
    assert own["bar_number"].tolist() == numbers[300:361]
    assert own["recorded_at"].iloc[0] == LATER
    assert not own["is_backfill"].iloc[0]
    assert own["is_backfill"].iloc[1:].all()
    assert set(trace["source"]) == {"synthetic"}
    assert set(trace["kind"]) == {"bar"}
    # The weeks were made from days, the 21 that are looked at whole.
    higher = trace[trace["part"] == "higher timeframe"]
    assert higher["bar_number"].nunique() == 21
    assert set(higher["record_timeframe"]) == {"d1"}
    assert 95 < len(higher) <= 105
    label = trace[trace["part"] == "label"]
    assert label["bar_number"].tolist() == [numbers[365]]
    assert days[365] == f"{label['opened_at'].iloc[0]:%Y-%m-%d}"


def test_the_command_takes_a_date_or_a_time_and_refuses_the_rest() -> None:
    def parsed(text: str) -> object:
        return build.make_context("build", ["--as-of", text]).params["as_of"]

    assert parsed("2012-06-29") == end_of_day(datetime.date(2012, 6, 29))
    assert parsed("20120629") == end_of_day(datetime.date(2012, 6, 29))
    noon = datetime.datetime(2012, 6, 29, 12, tzinfo=datetime.UTC)
    assert parsed("2012-06-29T12:00") == noon
    assert parsed("2012-06-29T14:00:00+02:00") == noon
    for wrong in ("2012-06-31", "2012-06-29T25:00", "yesterday"):
        with pytest.raises(click.BadParameter, match="no date like 2012-06-29"):
            parsed(wrong)


@pytest.mark.parametrize(("timeframe", "horizon"), [("h4", "1d"), ("h1", "4h")])
def test_an_early_close_of_one_bar_is_traced_to_its_session_profile(
    original_intraday: Warehouse, timeframe: str, horizon: str
) -> None:
    # It is the session's only h4 bar, which the last h1 bar of it reads, too.
    example = read_frame(
        original_intraday,
        """
        select examples.cut_id, examples.bar_number
        from {features}.training_examples as examples
        inner join {features}.bar_grid as h4
            on examples.calendar = h4.calendar
            and examples.closed_at = h4.closed_at
        where examples.ticker = 'PAIR' and examples.timeframe = :timeframe
            and examples.horizon = :horizon
            and h4.timeframe = 'h4' and h4.session_bars = 1
        order by examples.bar_number desc limit 1
        """,
        {"timeframe": timeframe, "horizon": horizon},
    )
    trace = lineage(
        original_intraday,
        int(example["bar_number"].item()),
        cut_id=int(example["cut_id"].item()),
        timeframe=timeframe,
        horizon=horizon,
    )
    profile = trace[
        (trace["part"] == "session profile") & (trace["bar_timeframe"] == "h4")
    ]
    # The quarter hours of 41 sessions before it and of its own three hours
    # and a half.
    assert profile["opened_at"].dt.date.nunique() == 42
    assert len(profile) == 41 * 26 + 14
