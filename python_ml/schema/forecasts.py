"""The ledger of forecasts, and what their bands rest on."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from python_ml.schema.columns import ML, Timestamp, metadata, written_at
from python_ml.schema.jobs import job_runs
from python_ml.schema.market import symbols
from python_ml.schema.training import ensembles

forecasts = Table(
    "forecasts",
    metadata,
    Column("forecast_id", BigInteger, Identity(), primary_key=True),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column("timeframe", Text, nullable=False),
    Column("horizon", Text, nullable=False),
    Column("horizon_bars", Integer, nullable=False),
    Column("bar_number", Integer, nullable=False),
    Column("closed_at", Timestamp, nullable=False, comment="Of the last bar."),
    Column("run_kind", Text, nullable=False, comment="live, replay, backtest"),
    Column("run_name", Text, nullable=False),
    Column("issued_at", Timestamp, nullable=False, comment="Real time."),
    Column(
        "is_late",
        Boolean,
        nullable=False,
        comment="A live row issued later than the grace period.",
    ),
    Column("target_bar_number", Integer, nullable=False),
    Column("target_at", Timestamp, nullable=False),
    Column("probability_bearish", Double, nullable=False),
    Column("probability_neutral", Double, nullable=False),
    Column("probability_bullish", Double, nullable=False),
    Column("direction", Text, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("climatology_bearish", Double, nullable=False),
    Column("climatology_neutral", Double, nullable=False),
    Column("climatology_bullish", Double, nullable=False),
    Column("member_probabilities", JSONB, nullable=False),
    Column("reference_close", Double, nullable=False, comment="As traded."),
    Column(
        "expected_volatility",
        Double,
        nullable=False,
        comment="Of the log return to target_at.",
    ),
    Column(
        "forecast_volatility",
        Double,
        comment=(
            "What the bands are made from, the series' own factor included; "
            "NULL of forecasts issued before there was one."
        ),
    ),
    Column("label_threshold", Double, nullable=False, comment="Log return."),
    Column("price_target", Double, nullable=False),
    Column("lower_50", Double, nullable=False),
    Column("upper_50", Double, nullable=False),
    Column("lower_80", Double, nullable=False),
    Column("upper_80", Double, nullable=False),
    Column("lower_95", Double, nullable=False),
    Column("upper_95", Double, nullable=False),
    Column(
        "version_id",
        Text,
        ForeignKey(ensembles.c.version_id),
        nullable=False,
    ),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    Column(
        "trust",
        Text,
        comment=(
            "publish, caution or withhold; NULL of forecasts issued before it "
            "was judged."
        ),
    ),
    Column("trust_reasons", JSONB, comment="Why not publish, as a list."),
    CheckConstraint(
        "run_kind in ('live', 'replay', 'backtest')", name="run_kind_is_known"
    ),
    CheckConstraint(
        "trust in ('publish', 'caution', 'withhold')", name="trust_is_known"
    ),
    CheckConstraint(
        "direction in ('BEARISH', 'NEUTRAL', 'BULLISH')",
        name="direction_is_known",
    ),
    CheckConstraint("closed_at < target_at", name="target_is_ahead"),
    CheckConstraint(
        "abs(probability_bearish + probability_neutral "
        "+ probability_bullish - 1) < 1e-6 and least(probability_bearish, "
        "probability_neutral, probability_bullish) >= 0",
        name="probabilities_sum_to_one",
    ),
    CheckConstraint(
        "lower_95 <= lower_80 and lower_80 <= lower_50 "
        "and lower_50 <= upper_50 and upper_50 <= upper_80 "
        "and upper_80 <= upper_95 and lower_95 > 0",
        name="bands_are_nested",
    ),
    UniqueConstraint(
        "symbol_id",
        "timeframe",
        "horizon",
        "closed_at",
        "run_kind",
        "run_name",
    ),
    written_at(),
    Index(None, "written_at", postgresql_using="brin"),
    schema=ML,
    comment="One row per forecast issued; append-only.",
)

# What bands of one run, calendar, timeframe and horizon rest on.
BAND_KEY = ("run_kind", "run_name", "calendar", "timeframe", "horizon")


# Ends of bands and the median, by percent.
BAND_ENDS = ("2_5", "10", "25", "50", "75", "90", "97_5")


def _band_key() -> list[Column]:  # type: ignore[type-arg]
    return [Column(name, Text, nullable=False) for name in BAND_KEY]


band_states = Table(
    "band_states",
    metadata,
    *_band_key(),
    Column("bar_number", Integer, nullable=False),
    Column(
        "closed_at",
        Timestamp,
        nullable=False,
        comment="Of the bar; outcomes known by then are in.",
    ),
    Column(
        "from_bar_number",
        Integer,
        nullable=False,
        comment="Of the distribution that the offsets are added to.",
    ),
    *[Column(f"offset_{end}", Double, nullable=False) for end in BAND_ENDS],
    Column(
        "n_outcomes",
        Integer,
        nullable=False,
        comment="Series whose outcome settled at the bar.",
    ),
    Column(
        "share_inside_80",
        Double,
        comment="Of these, inside the 80% band; NULL without any.",
    ),
    Column(
        "batch_id",
        BigInteger,
        nullable=False,
        comment="Of the newest bars that it rests on.",
    ),
    Column("created_at", Timestamp, nullable=False, comment="Real time."),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    PrimaryKeyConstraint(*BAND_KEY, "bar_number"),
    written_at(),
    Index(None, "written_at", postgresql_using="brin"),
    schema=ML,
    comment="One row per bar at which bands were issued; append-only.",
)

band_quantiles = Table(
    "band_quantiles",
    metadata,
    *_band_key(),
    Column(
        "from_bar_number",
        Integer,
        nullable=False,
        comment="First bar that it serves at.",
    ),
    Column(
        "place_group",
        Integer,
        nullable=False,
        comment="Of places in the session, from 0.",
    ),
    *[Column(f"quantile_{end}", Double, nullable=False) for end in BAND_ENDS],
    Column("n_moves", Integer, nullable=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("created_at", Timestamp, nullable=False, comment="Real time."),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    PrimaryKeyConstraint(*BAND_KEY, "from_bar_number", "place_group"),
    schema=ML,
    comment="One row per distribution of moves and group of places.",
)

band_factors = Table(
    "band_factors",
    metadata,
    *_band_key(),
    Column(
        "from_bar_number",
        Integer,
        nullable=False,
        comment="First bar of the distribution that it belongs to.",
    ),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column(
        "factor",
        Double,
        nullable=False,
        comment="What the series' forecast volatility is multiplied by.",
    ),
    PrimaryKeyConstraint(*BAND_KEY, "from_bar_number", "symbol_id"),
    schema=ML,
    comment="One row per distribution of moves and symbol.",
)
