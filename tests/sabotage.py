"""A small market that is broken in one place at a time, and who reports it.

A `Bench` is a built market beside a copy of the project. `Bench.report` plants
one `Fault`: it changes a text of the project or the rows of a table, makes
again what the fault reaches and asks those that should notice. Afterwards the
database is copied anew from a sound one, under its old name.
"""

import contextlib
import itertools
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from dbt.contracts.graph.manifest import Manifest

from python_ml.examples.cuts import (
    end_of_day,
    ensure_cuts,
)
from python_ml.exceptions import BuildError
from python_ml.ingestion.base import Load
from python_ml.ingestion.load import ingest
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse import dbt, validation
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse, connect
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.dbt_manifest import kept_manifest
from python_ml.warehouse.ledgers import rewriting
from tests import intraday_market, test_features
from tests.conftest import BUILD_WITHOUT_TESTS
from tests.feature_oracle import MINUTES, TIMEFRAMES
from tests.synthetic_market import SyntheticSource
from tests.test_dbt_project import looks_ahead

# Of the quarter hours: weeks enough for their profiles, and an early close.
FIRST_SESSION, LAST_SESSION = "2016-10-17", "2017-01-20"
# Within an hour, whose first and last part are there.
HOLE = ("QUICK", pd.Timestamp("2016-10-24 16:00", tz="UTC"))
AS_OF = date(2017, 1, 13)
EMBARGO_BARS = 3
# Within a session, an hour before its end.
CUT_OFF = "2016-12-20 20:00+00"

SELECTION = [
    "--select",
    "+training_examples",
    "+scoring_examples",
    "feature_catalog",
    "horizon_feature_catalog",
    "+path:models/leakage_audit",
]
# A test is not run because its dbt model is.
ALONE = [
    "--indirect-selection",
    "empty",
    "--no-use-colors",
]
# How they stand in the message of a failed build.
FAILURE_KINDS = ("unit test", "dbt test", "constraint")
FAILURE = re.compile(
    r"unit_test (\w+): actual differs|\btest (\w+): Got \d+ result"
    r'|violates check constraint "(\w+)"'
)
LOOK_AHEAD = "test_no_dbt_model_outside_labels_looks_ahead"
TRUNCATION = "test_features_up_to_a_time_do_not_change_when_later_bars_are_cut"
ORACLES = {
    test.__name__: test
    for test in (
        test_features.test_the_grid_equals_pandas,
        test_features.test_bars_equal_pandas,
        test_features.test_features_equal_pandas,
        test_features.test_labels_equal_pandas,
    )
}


@dataclass(frozen=True)
class SmallSource:
    """Two daily series with a history, two short ones of quarter hours."""

    name: str = "small"
    calendar: str = "XNYS"

    def read(self) -> Load:
        daily = SyntheticSource().read()
        grid = intraday_market.grid()
        is_in = grid["session_date"].between(FIRST_SESSION, LAST_SESSION)
        grid = grid[is_in].reset_index(drop=True)
        quarters = pd.concat(
            [
                intraday_market.walk(grid, 21).assign(ticker="QUICK"),
                intraday_market.walk(grid, 22).assign(ticker="RAPID"),
            ]
        ).drop(columns=["session", "place", "session_date"])
        is_hole = (quarters["ticker"] == HOLE[0]) & (
            quarters["opened_at"] == HOLE[1]
        )
        assert is_hole.sum() == 1
        bars = pd.concat(
            [daily.bars, quarters[~is_hole].assign(timeframe="m15")],
            ignore_index=True,
        )
        return Load(
            bars=bars.assign(source_row_number=range(1, len(bars) + 1)),
            adjustments=daily.adjustments,
        )


@dataclass(frozen=True)
class Fault:
    """One fault and those that must report it.

    Parameters
    ----------
    caught_by : tuple of str
        Each a kind and the name under which it fails: `unit test ...`,
        `dbt test ...`, `audit ...`, `constraint ...`, `expectation
        <suite>.<name>`, `pytest ...`.
    edits : tuple of (str, str, str)
        Path in the project, text that stands there once, what to put instead.
    statements : tuple of str
        SQL on the built tables; each changes rows.
    rebuilt : tuple of str
        dbt models to make again: what is edited and what lies between it and
        those that are asked. A rebuilt view takes the views behind it away.
    compiled : str
        dbt model whose SQL is read for look-ahead.
    """

    caught_by: tuple[str, ...]
    edits: tuple[tuple[str, str, str], ...] = ()
    statements: tuple[str, ...] = ()
    rebuilt: tuple[str, ...] = ()
    compiled: str = ""

    def catchers(self, kind: str) -> list[str]:
        """Names of one kind."""
        return [
            name.removeprefix(f"{kind} ")
            for name in self.caught_by
            if name.startswith(f"{kind} ")
        ]


@dataclass
class Bench:
    """A built market to break, and what to mend it with.

    Parameters
    ----------
    warehouse : Warehouse
        With a project of its own.
    sound : str
        Name of a database that nothing is broken in.
    expected : Expected
        What pandas makes of the market.
    """

    warehouse: Warehouse
    sound: str
    expected: test_features.Expected
    is_broken: bool = field(default=False, init=False)

    def report(self, fault: Fault) -> set[str]:
        """Plant a fault and return who reports it, among those asked.

        All expectations are asked when one is.
        """
        self.mend()
        with self.edited(fault.edits):
            self.is_broken = bool(fault.statements or fault.rebuilt)
            for statement in fault.statements:
                self.change(statement)
            return set(
                itertools.chain(
                    self.unit_tests(fault),
                    self.build(fault),
                    self.expectations(fault),
                    self.pytests(fault),
                )
            )

    def mend(self) -> None:
        """Copy the sound database over the broken one."""
        if not self.is_broken:
            return
        self.warehouse.close()
        name = self.warehouse.parameters.database
        server = connect(
            self.warehouse.settings,
            replace(self.warehouse.parameters, database="postgres"),
        )
        engine = server.engine.execution_options(isolation_level="AUTOCOMMIT")
        with server, engine.connect() as connection:
            connection.execute(sa.text(f"drop database {name} with (force)"))
            connection.execute(
                sa.text(
                    f"create database {name} template {self.sound} "
                    "strategy file_copy"
                )
            )
        self.is_broken = False

    @contextlib.contextmanager
    def edited(self, edits: Sequence[tuple[str, str, str]]) -> Iterator[None]:
        """Change files of the project for a while.

        SQL is changed in what dbt has parsed: to parse it anew takes longer
        than to run it.
        """
        in_files = [edit for edit in edits if not edit[0].endswith(".sql")]
        in_sql = [edit for edit in edits if edit not in in_files]
        before = {}
        try:
            for file, sound, faulty in in_files:
                path = self.warehouse.settings.project_root / file
                text = path.read_text()
                before.setdefault(path, text)
                path.write_text(replace_once(text, sound, faulty, file))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    dbt,
                    "kept_manifest",
                    lambda *arguments: edit_manifest(
                        kept_manifest(*arguments), in_sql
                    ),
                )
                yield
        finally:
            for path, text in before.items():
                path.write_text(text)

    def change(self, statement: str) -> None:
        with rewriting(self.warehouse) as connection:
            done = connection.exec_driver_sql(
                self.warehouse.sql(statement).replace("%", "%%")
            )
            assert done.rowcount != 0, f"changed nothing: {statement}"

    def unit_tests(self, fault: Fault) -> Iterator[str]:
        if names := fault.catchers("unit test"):
            yield from self.dbt("test", *names)

    def build(self, fault: Fault) -> Iterator[str]:
        """Make again what is to be, then test it."""
        nodes = [*fault.rebuilt, *fault.catchers("dbt test")]
        if nodes:
            yield from self.dbt("build", *nodes)
        for audit in fault.catchers("audit"):
            query = f"select * from {{leakage_audit}}.{audit} limit 1"
            if not read_frame(self.warehouse, query).empty:
                yield f"audit {audit}"

    def dbt(self, command: str, *nodes: str) -> list[str]:
        """Run dbt on some nodes and nothing else; return what failed.

        What concerns single series warns.
        """
        try:
            summary = run_dbt(
                self.warehouse, [command, "--select", *nodes, *ALONE]
            )
        except BuildError as error:
            failures = FAILURE.findall(str(error))
            # Whoever could not even be run has not found a fault.
            if f"failed: {len(failures)} of" not in str(error):
                raise
            return [
                f"{kind} {name}"
                for names in failures
                for kind, name in zip(FAILURE_KINDS, names, strict=True)
                if name
            ]
        return [
            f"dbt test {result.node.name}"
            for result in summary.output.results
            if str(result.status) == "warn"
        ]

    def expectations(self, fault: Fault) -> Iterator[str]:
        if not fault.catchers("expectation"):
            return
        for suite in validation.judge(self.warehouse).suites:
            for outcome in suite.outcomes:
                if outcome.closes_gate or outcome.series:
                    yield f"expectation {suite.suite}.{outcome.expectation}"

    def pytests(self, fault: Fault) -> Iterator[str]:
        """Run the bodies of tests that compare or read what was built."""
        # Truncation comes last: it cuts off what the others compare.
        for name in sorted(
            fault.catchers("pytest"), key=lambda name: name == TRUNCATION
        ):
            try:
                if name == LOOK_AHEAD:
                    self.assert_no_look_ahead(fault.compiled)
                elif name == TRUNCATION:
                    self.assert_truncation_changes_nothing(fault.rebuilt)
                else:
                    ORACLES[name](
                        test_features.Market(
                            self.warehouse, self.expected, set(TIMEFRAMES)
                        )
                    )
            except AssertionError:
                yield f"pytest {name}"

    def assert_no_look_ahead(self, name: str) -> None:
        compiled = run_dbt(
            self.warehouse, ["compile", "--select", name, *ALONE]
        )
        (result,) = compiled.output.results
        assert not list(looks_ahead(result.node.compiled_code))

    def assert_truncation_changes_nothing(self, rebuilt: Sequence[str]) -> None:
        """Cut the bars off at a time, build again and compare up to then."""
        whole = self.known_at_close()
        for table in ("{raw}.bars", "{features}.bars"):
            self.change(f"delete from {table} where closed_at > '{CUT_OFF}'")
        assert self.dbt("run", *rebuilt) == []
        for full, truncated in zip(whole, self.known_at_close(), strict=True):
            pd.testing.assert_frame_equal(truncated, full, check_exact=True)

    def known_at_close(self) -> list[pd.DataFrame]:
        """Features and scales of labels, up to the time of the cut."""
        features = test_features.rows(self.warehouse)
        labels = test_features.labels_of(self.warehouse)[
            [*test_features.LABEL, "closed_at", "expected_volatility"]
        ]
        return [
            table[table["closed_at"] <= CUT_OFF].reset_index(drop=True)
            for table in (features, labels)
        ]


def replace_once(text: str, sound: str, faulty: str, file: str) -> str:
    assert text.count(sound) == 1, f"not once in {file}: {sound}"
    return text.replace(sound, faulty)


def edit_manifest(
    manifest: Manifest, edits: Sequence[tuple[str, str, str]]
) -> Manifest:
    """Change the SQL of dbt models and macros that have been parsed."""
    for file, sound, faulty in edits:
        # What a dbt model refers to has been parsed as well.
        assert "ref(" not in sound + faulty, file
        path = file.removeprefix("dbt_project/")
        holders = [
            (parsed, attribute)
            for parsed_files, attribute in (
                (manifest.macros, "macro_sql"),
                (manifest.nodes, "raw_code"),
            )
            for parsed in parsed_files.values()
            if parsed.original_file_path == path
            and sound in getattr(parsed, attribute)
        ]
        assert len(holders) == 1, f"not once in {file}: {sound}"
        ((parsed, attribute),) = holders
        text = replace_once(getattr(parsed, attribute), sound, faulty, file)
        setattr(parsed, attribute, text)
    return manifest


def make_bench(
    fresh_warehouse: Callable[..., Warehouse], project_root: Path
) -> Bench:
    """Build the small market with cuts, from a copy of the project."""
    for folder in ("dbt_project", "expectations"):
        shutil.copytree(
            PROJECT_ROOT / folder,
            project_root / folder,
            ignore=shutil.ignore_patterns("target", "logs", "__pycache__"),
        )
    shutil.copy(PROJECT_ROOT / "profiles.yml", project_root)
    made = fresh_warehouse()
    made = replace(
        made, settings=replace(made.settings, project_root=project_root)
    )
    ingest(made, SmallSource())
    run_dbt(made, [*BUILD_WITHOUT_TESTS, *SELECTION])
    ensure_cuts(
        made,
        {"XNYS": end_of_day(AS_OF)},
        [("XNYS", "m15"), ("XNYS", "d1")],
        embargo_bars=EMBARGO_BARS,
    )
    expected = test_features.expected_of(made)
    is_early = (expected.grid["session_date"] < FIRST_SESSION) & expected.grid[
        "timeframe"
    ].isin(MINUTES)
    expected = replace(
        expected, grid=expected.grid[~is_early].reset_index(drop=True)
    )
    made.close()
    with fresh_warehouse(template=made.parameters.database) as sound:
        return Bench(made, sound.parameters.database, expected)
