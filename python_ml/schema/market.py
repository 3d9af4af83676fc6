"""Tables of the schema `raw`: what ingestion writes."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from python_ml.schema.columns import (
    RAW,
    Timestamp,
    created_at,
    metadata,
    written_at,
)

symbols = Table(
    "symbols",
    metadata,
    Column("symbol_id", Integer, Identity(), primary_key=True),
    Column("ticker", Text, nullable=False, unique=True),
    Column("calendar", Text, nullable=False),
    Column("listed_from", Date, comment="First session with a bar."),
    Column("delisted_at", Timestamp, comment="NULL while listed."),
    Column("source", Text, nullable=False),
    created_at(),
    Column("deactivated_at", Timestamp, comment="NULL while active."),
    Column("currency", Text, comment="Of its prices; NULL if not known."),
    schema=RAW,
    comment="One row per listed symbol.",
)

symbol_aliases = Table(
    "symbol_aliases",
    metadata,
    Column("ticker", Text, primary_key=True),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column(
        "valid_until",
        Date,
        nullable=False,
        comment="First session under the next ticker.",
    ),
    created_at(),
    schema=RAW,
    comment="One row per former ticker of a symbol that was renamed.",
)

sessions = Table(
    "sessions",
    metadata,
    Column("calendar", Text, primary_key=True),
    Column("session_date", Date, primary_key=True),
    Column("opened_at", Timestamp, nullable=False),
    Column("closed_at", Timestamp, nullable=False),
    CheckConstraint("opened_at < closed_at", name="opens_before_close"),
    schema=RAW,
    comment="One row per exchange session, early closes included.",
)

ingest_batches = Table(
    "ingest_batches",
    metadata,
    Column(
        "batch_id",
        BigInteger,
        Identity(),
        primary_key=True,
        comment="Rises in commit order: given out under the ingest lock.",
    ),
    Column("source", Text, nullable=False),
    Column("job_run_id", BigInteger),
    Column("ingested_at", Timestamp, nullable=False),
    Column("n_bars", BigInteger, nullable=False),
    Column("n_adjustments", BigInteger, nullable=False),
    Column("n_rejected", BigInteger, nullable=False),
    schema=RAW,
    comment="One row per load that brought something new; append-only.",
)

bars = Table(
    "bars",
    metadata,
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        primary_key=True,
    ),
    Column("timeframe", Text, primary_key=True),
    Column("opened_at", Timestamp, primary_key=True),
    Column("batch_id", BigInteger, primary_key=True),
    Column("closed_at", Timestamp, nullable=False),
    Column("open", Double, nullable=False, comment="As traded."),
    Column("high", Double, nullable=False, comment="As traded."),
    Column("low", Double, nullable=False, comment="As traded."),
    Column("close", Double, nullable=False, comment="As traded."),
    Column("volume", Double, nullable=False, comment="Shares, as traded."),
    Column(
        "recorded_at",
        Timestamp,
        nullable=False,
        comment="When this value counts as known; closed_at for a backfill.",
    ),
    Column("is_backfill", Boolean, nullable=False),
    Column("ingested_at", Timestamp, nullable=False, comment="Real load time."),
    Column("source", Text, nullable=False),
    CheckConstraint("opened_at < closed_at", name="opens_before_close"),
    CheckConstraint(
        "low > 0 and low <= open and low <= close "
        "and open <= high and close <= high and high < 'Infinity'",
        name="prices_are_ordered",
    ),
    CheckConstraint(
        "volume >= 0 and volume < 'Infinity'", name="volume_is_finite"
    ),
    Index(None, "batch_id", postgresql_using="brin"),
    written_at(),
    Index(None, "written_at", postgresql_using="brin"),
    schema=RAW,
    comment=(
        "One row per record of a bar; append-only. A changed value is a new "
        "record, so one bar may have several; the last batch is the newest."
    ),
)

adjustments = Table(
    "adjustments",
    metadata,
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        primary_key=True,
    ),
    Column("effective_at", Timestamp, primary_key=True),
    Column("kind", Text, primary_key=True, comment="split or dividend"),
    Column("batch_id", BigInteger, primary_key=True),
    Column(
        "factor",
        Double,
        nullable=False,
        comment=(
            "Multiplies prices before effective_at to put them on the basis "
            "after it: 0.5 for a two-for-one split, close / (close + dividend) "
            "with the ex-date's close for a dividend."
        ),
    ),
    Column("recorded_at", Timestamp, nullable=False),
    Column("is_backfill", Boolean, nullable=False),
    Column("ingested_at", Timestamp, nullable=False),
    Column("source", Text, nullable=False),
    CheckConstraint("kind in ('split', 'dividend')", name="kind_is_known"),
    CheckConstraint(
        "factor > 0 and factor < 'Infinity'", name="factor_is_positive"
    ),
    written_at(),
    Index(None, "written_at", postgresql_using="brin"),
    schema=RAW,
    comment="One row per record of a split or dividend; append-only.",
)

rejected_bars = Table(
    "rejected_bars",
    metadata,
    Column("rejected_bar_id", BigInteger, Identity(), primary_key=True),
    Column("batch_source", Text, nullable=False),
    Column("ticker", Text),
    Column("timeframe", Text),
    Column("reason", Text, nullable=False),
    Column("source_row", JSONB, nullable=False, comment="The row as it came."),
    Column("source_row_number", BigInteger, comment="Counted from 1."),
    Column(
        "row_hash",
        Text,
        nullable=False,
        comment="Of source, row and reason: a second load adds nothing.",
    ),
    Column("rejected_at", Timestamp, nullable=False),
    UniqueConstraint("row_hash"),
    schema=RAW,
    comment="One row per source row that could not be stored, with why.",
)

price_jumps = Table(
    "price_jumps",
    metadata,
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        primary_key=True,
    ),
    Column("timeframe", Text, primary_key=True),
    Column("opened_at", Timestamp, primary_key=True),
    Column("found_at", Timestamp, nullable=False),
    schema=RAW,
    comment=(
        "One row per bar that opened far from the close before it, "
        "whatever the reason; append-only. What bars and adjustments "
        "say of it now is in suspected_splits."
    ),
)

default_horizons = Table(
    "default_horizons",
    metadata,
    Column("calendar", Text, primary_key=True),
    Column("timeframe", Text, primary_key=True),
    Column("horizon", Text, primary_key=True),
    Column("horizon_bars", Integer, nullable=False),
    Column("is_base", Boolean, nullable=False),
    CheckConstraint("horizon_bars >= 1", name="bars"),
    schema=RAW,
    comment=(
        "The spans ahead of a calendar that the seed horizons may lack, as "
        "its sessions had them when it was first loaded; never changed."
    ),
)
