"""Keep what the bands of every forecast rest on.

Distributions of moves, the scale of each series' own, and what was tracked
since, so that a band can be made again to the bit.
"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

Timestamp = sa.DateTime(timezone=True)
KEY = ("run_kind", "run_name", "calendar", "timeframe", "horizon")
ENDS = ("2_5", "10", "25", "50", "75", "90", "97_5")


def _key() -> list[sa.Column]:  # type: ignore[type-arg]
    return [sa.Column(name, sa.Text(), nullable=False) for name in KEY]


def _ends(prefix: str) -> list[sa.Column]:  # type: ignore[type-arg]
    return [
        sa.Column(f"{prefix}_{end}", sa.Double(), nullable=False)
        for end in ENDS
    ]


def _origin(ml: str, table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(
            "created_at", Timestamp, nullable=False, comment="Real time."
        ),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            [f"{ml}.job_runs.job_run_id"],
            name=op.f(f"{table}_job_run_id_fkey"),
        ),
    ]


def upgrade() -> None:
    settings = context.config.attributes["settings"]
    raw, ml = settings.schema("raw"), settings.schema("ml")
    op.create_table(
        "band_states",
        *_key(),
        sa.Column("bar_number", sa.Integer(), nullable=False),
        sa.Column(
            "closed_at",
            Timestamp,
            nullable=False,
            comment="Of the bar; outcomes known by then are in.",
        ),
        sa.Column(
            "from_bar_number",
            sa.Integer(),
            nullable=False,
            comment="Of the distribution that the offsets are added to.",
        ),
        *_ends("offset"),
        sa.Column(
            "n_outcomes",
            sa.Integer(),
            nullable=False,
            comment="Series whose outcome settled at the bar.",
        ),
        sa.Column(
            "share_inside_80",
            sa.Double(),
            comment="Of these, inside the 80% band; NULL without any.",
        ),
        sa.Column(
            "batch_id",
            sa.BigInteger(),
            nullable=False,
            comment="Of the newest bars that it rests on.",
        ),
        *_origin(ml, "band_states"),
        sa.PrimaryKeyConstraint(
            *KEY, "bar_number", name=op.f("band_states_pkey")
        ),
        schema=ml,
        comment="One row per bar at which bands were issued; append-only.",
    )
    op.create_table(
        "band_quantiles",
        *_key(),
        sa.Column(
            "from_bar_number",
            sa.Integer(),
            nullable=False,
            comment="First bar that it serves at.",
        ),
        sa.Column(
            "place_group",
            sa.Integer(),
            nullable=False,
            comment="Of places in the session, from 0.",
        ),
        *_ends("quantile"),
        sa.Column("n_moves", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        *_origin(ml, "band_quantiles"),
        sa.PrimaryKeyConstraint(
            *KEY,
            "from_bar_number",
            "place_group",
            name=op.f("band_quantiles_pkey"),
        ),
        schema=ml,
        comment="One row per distribution of moves and group of places.",
    )
    op.create_table(
        "band_factors",
        *_key(),
        sa.Column(
            "from_bar_number",
            sa.Integer(),
            nullable=False,
            comment="First bar of the distribution that it belongs to.",
        ),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column(
            "factor",
            sa.Double(),
            nullable=False,
            comment="What the series' forecast volatility is multiplied by.",
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            [f"{raw}.symbols.symbol_id"],
            name=op.f("band_factors_symbol_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            *KEY,
            "from_bar_number",
            "symbol_id",
            name=op.f("band_factors_pkey"),
        ),
        schema=ml,
        comment="One row per distribution of moves and symbol.",
    )
    op.add_column(
        "forecasts",
        sa.Column(
            "forecast_volatility",
            sa.Double(),
            comment=(
                "What the bands are made from, the series' own factor "
                "included; NULL of forecasts issued before there was one."
            ),
        ),
        schema=ml,
    )
    op.add_column(
        "forecasts",
        sa.Column(
            "trust",
            sa.Text(),
            comment=(
                "publish, caution or withhold; NULL of forecasts issued before "
                "it was judged."
            ),
        ),
        schema=ml,
    )
    op.add_column(
        "forecasts",
        sa.Column(
            "trust_reasons",
            postgresql.JSONB(),
            comment="Why not publish, as a list.",
        ),
        schema=ml,
    )
    op.create_check_constraint(
        op.f("forecasts_trust_is_known_check"),
        "forecasts",
        "trust in ('publish', 'caution', 'withhold')",
        schema=ml,
    )
