"""What the forecasts are made from, and what is wrong with it."""

from python_ml.web.content import (
    Block,
    Card,
    Choice,
    Column,
    Content,
    Empty,
    Frames,
    Page,
    Query,
    Section,
    Table,
)
from python_ml.web.pages.shared import listing, spelled
from python_ml.web.queries import data as queries

INGEST_COMMAND = "swiftbolt ingest bars ~/downloads"
# Findings of one audit that are counted; more say no more.
MOST_FINDINGS = 1000


def _health(frames: Frames, choice: Choice) -> Content:
    health = frames["health"]
    if health.empty:
        return Empty("No series is loaded yet.", INGEST_COMMAND)
    counts = health["status"].value_counts()
    return (
        Block(
            cards=tuple(
                Card(
                    spelled(status).capitalize(),
                    str(count),
                    "series",
                    "good" if status == "forecast" else "warn",
                )
                for status, count in counts.items()
            ),
            table=Table(
                health,
                {
                    "ticker": Column("Symbol", "symbol"),
                    "timeframe": Column("Timeframe"),
                    "status": Column("Status", "verdict"),
                    "reason": Column("Reason", "verdict"),
                    "newest_closed_at": Column("Newest bar (UTC)", "time"),
                    "sessions_behind": Column("Sessions behind", "count"),
                    "n_bars": Column("Bars", "count"),
                    "n_missing_bars": Column("Missing", "count"),
                    "n_suspected_splits": Column("Suspected splits", "count"),
                    "details": Column("Details"),
                },
                "Every series, those that are not forecast first",
                at_most=40,
            ),
        ),
    )


def _gaps(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["gaps"],
        {
            "timeframe": Column("Timeframe"),
            "first_session_date": Column("From", "date"),
            "last_session_date": Column("to", "date"),
            "n_bars": Column("Bars", "count"),
            "is_carried": Column("Carried", "verdict"),
        },
        f"Missing bars of {choice.symbol}, newest first; short gaps "
        "are carried",
        at_most=30,
        empty=Empty(f"No bar of {choice.symbol} is missing."),
    )


def _rejected(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["rejected"],
        {
            "batch_source": Column("Source"),
            "ticker": Column("Symbol", "symbol"),
            "timeframe": Column("Timeframe"),
            "reason": Column("Reason", "verdict"),
            "n": Column("Rows", "count"),
            "last_rejected_at": Column("Last (UTC)", "time"),
        },
        "Rejected rows by reason; the rows are in raw.rejected_bars",
        at_most=40,
        empty=Empty("No row of any load was rejected."),
    )


def _set_aside(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["set_aside"],
        {
            "ticker": Column("Symbol", "symbol"),
            "timeframe": Column("Timeframe"),
            "reason": Column("Reason", "verdict"),
            "details": Column("Details"),
            "source": Column("Found by"),
            "quarantined_at": Column("Since (UTC)", "time"),
            "released_at": Column("Released (UTC)", "time"),
        },
        "Series that were set aside, those that still are first",
        at_most=30,
        empty=Empty("No series has been set aside."),
    )


def _splits(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["splits"],
        {
            "ticker": Column("Symbol", "symbol"),
            "timeframe": Column("Timeframe"),
            "session_date": Column("Session", "date"),
            "kind": Column("Kind", "verdict"),
            "jump": Column("Jump", "number"),
            "suggested_factor": Column("Suggested factor", "number"),
            "remedy": Column("What to do"),
        },
        "Suspected splits, newest first",
        empty=Empty("No jump looks like a split that nobody told of."),
    )


def _builds(frames: Frames, choice: Choice) -> Content:
    builds = frames["builds"]
    return (
        Block(
            notes=("No build is on record.",) if builds.empty else (),
            more=("Look at all rows now", "audits=now"),
            table=Table(
                builds,
                {
                    "job": Column("Job"),
                    "status": Column("Ended", "verdict"),
                    "started_at": Column("Started (UTC)", "time"),
                    "error_message": Column("Finding"),
                },
                "The last builds, newest first",
            )
            if len(builds)
            else None,
        ),
    )


def _audits(frames: Frames, choice: Choice) -> Content:
    findings = frames["audits"]
    n_broken = int((findings["n_findings"] > 0).sum())
    return (
        Block(
            cards=(
                Card(
                    "Audits for leaks",
                    f"{len(findings) - n_broken} of {len(findings)}",
                    "find nothing",
                    "warn" if n_broken else "good",
                ),
            ),
            table=Table(
                findings,
                {
                    "audit": Column("Audit", "verdict"),
                    "n_findings": Column("Findings", "count"),
                },
                "Findings of each audit, asked just now",
            ),
        ),
    )


def _validations(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["validations"],
        {
            "suite": Column("Suite", "verdict"),
            "dataset": Column("Of"),
            "n_expectations": Column("Expectations", "count"),
            "n_failed": Column("Failed", "count"),
            "n_rows": Column("Rows", "count"),
            "failed": Column("Which", "verdict"),
            "validated_at": Column("Validated (UTC)", "time"),
        },
        "The last validation, failures first",
        empty=Empty("Nothing has been validated yet.", "swiftbolt validate"),
    )


def _loads(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["loads"],
        {
            "batch_id": Column("Load"),
            "source": Column("Source"),
            "ingested_at": Column("Loaded (UTC)", "time"),
            "n_bars": Column("Bars written", "count"),
            "n_restated": Column("of these restated", "count"),
            "n_adjustments": Column("Splits, dividends", "count"),
            "n_rejected": Column("Rejected", "count"),
        },
        "Loads, newest first; restated bars of loads of 20,000 and fewer",
        at_most=20,
        empty=Empty("Nothing has been loaded yet.", INGEST_COMMAND),
    )


def audits_query() -> Query:
    """Count the findings of every audit in one query."""
    counts = "\n    union all\n".join(
        f"""    select '{audit}' as audit, count(*) as n_findings
    from (
        select 1 from {{leakage_audit}}.audit_{audit} limit {MOST_FINDINGS}
    ) as {audit}_findings"""
        for audit in queries.AUDITS
    )
    return Query(f"{counts}\n    order by n_findings desc, audit")


def _sections(choice: Choice) -> tuple[Section, ...]:
    return (
        Section(
            "health", "Health of series", {"health": queries.HEALTH}, _health
        ),
        Section(
            "set-aside",
            "Set aside",
            {"set_aside": queries.SET_ASIDE},
            _set_aside,
            command="swiftbolt db start",
        ),
        Section(
            "gaps",
            f"Missing bars of {choice.symbol}",
            {"gaps": queries.GAPS},
            _gaps,
        ),
        Section(
            "splits", "Suspected splits", {"splits": queries.SPLITS}, _splits
        ),
        Section(
            "rejected",
            "Rejected rows",
            {"rejected": queries.REJECTED},
            _rejected,
            command="swiftbolt db start",
        ),
        Section(
            "audits",
            "Audits",
            {"audits": audits_query()}
            if choice.is_audited
            else {"builds": queries.BUILDS},
            _audits if choice.is_audited else _builds,
            note="Every build looks for leaks in all that it touched, and "
            "stops at one.",
        ),
        Section(
            "validations",
            "Validation",
            {"validations": queries.VALIDATIONS},
            _validations,
            command="swiftbolt validate",
        ),
        Section(
            "loads",
            "What loads changed",
            {"loads": queries.LOADS},
            _loads,
            command="swiftbolt db start",
        ),
    )


PAGE = Page(
    "data",
    "Data",
    "What forecasts are made from, and what is wrong with it.",
    ("symbol", "audits"),
    _sections,
)
