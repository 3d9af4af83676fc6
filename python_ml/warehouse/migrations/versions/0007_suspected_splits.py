"""Keep jumps of prices, and say which look like a split; default horizons.

Ingestion reads the view to warn, before any build; dbt reads it for
`monitoring.suspected_splits`. So the rule stands once, here.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Log of the least move from a close to the next open that is kept: 1.3, the
# least split that is looked for being 3 for 2.
LEAST_JUMP = "ln(1.3)"

# A jump is near a ratio, and a price has not moved, within this log.
TOLERANCE = "0.08"

# What multiplies a price at a split: 1 for 3/2, 2 ... 100, and the reverse.
SPLITS = [1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 100]


def upgrade() -> None:
    raw = context.config.attributes["settings"].schema("raw")
    op.create_table(
        "price_jumps",
        sa.Column(
            "symbol_id",
            sa.Integer(),
            sa.ForeignKey(
                f"{raw}.symbols.symbol_id",
                name=op.f("price_jumps_symbol_id_fkey"),
            ),
            nullable=False,
        ),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "symbol_id",
            "timeframe",
            "opened_at",
            name=op.f("price_jumps_pkey"),
        ),
        schema=raw,
        comment=(
            "One row per bar that opened far from the close before it, "
            "whatever the reason; append-only. What bars and adjustments "
            "say of it now is in suspected_splits."
        ),
    )
    op.create_table(
        "default_horizons",
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("horizon", sa.Text(), nullable=False),
        sa.Column("horizon_bars", sa.Integer(), nullable=False),
        sa.Column("is_base", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(
            "calendar",
            "timeframe",
            "horizon",
            name=op.f("default_horizons_pkey"),
        ),
        sa.CheckConstraint(
            "horizon_bars >= 1", name=op.f("default_horizons_bars_check")
        ),
        schema=raw,
        comment=(
            "The spans ahead of a calendar that the seed horizons may lack, as "
            "its sessions had them when it was first loaded; never changed."
        ),
    )
    op.execute(suspected_splits(raw))
    op.execute(
        f"""
        insert into {raw}.price_jumps
            (symbol_id, timeframe, opened_at, found_at)
        select symbol_id, timeframe, opened_at, now()
        from (
            select
                symbol_id,
                timeframe,
                opened_at,
                open,
                lag(close) over (
                    partition by symbol_id, timeframe order by opened_at
                ) as close_before
            from (
                select distinct on (symbol_id, timeframe, opened_at)
                    symbol_id, timeframe, opened_at, open, close
                from {raw}.bars
                where timeframe <> 'w1'
                order by symbol_id, timeframe, opened_at, batch_id desc
            ) as newest
        ) as bars
        where abs(ln(open / close_before)) >= {LEAST_JUMP}
        """
    )


def suspected_splits(raw: str) -> str:
    """The view of what looks like a split now.

    A jump looks like a split if it is near a split's ratio and the day is
    otherwise ordinary: a crash comes with a wide range and with much more money
    traded, and the more so the less likely its size is by chance. Split by 2:
    at most 2 * 4 / 3 times the median range and 2 * 2 times the median money
    of the days before. A split of `adjustments` is suspected where the price
    jumps the other way, or not at all. Over a hole of more than 14 days a price
    may have gone anywhere, so nothing is said. Weeks are not judged: a split
    within one shows in no two of its prices.
    """
    ratios = ", ".join(f"({ratio}), (1 / {ratio}::float8)" for ratio in SPLITS)
    return f"""
    create view {raw}.suspected_splits as
    with candidates as (
        select symbol_id, timeframe, opened_at
        from {raw}.price_jumps

        union

        select splits.symbol_id, timeframes.timeframe, first_bar.opened_at
        from {raw}.adjustments as splits
        cross join (
            values ('m15'), ('h1'), ('h4'), ('d1')
        ) as timeframes (timeframe)
        cross join lateral (
            select bars.opened_at
            from {raw}.bars as bars
            where
                bars.symbol_id = splits.symbol_id
                and bars.timeframe = timeframes.timeframe
                and bars.opened_at >= splits.effective_at
            order by bars.opened_at
            limit 1
        ) as first_bar
        where splits.kind = 'split'
    ),

    opened as (
        select
            candidates.symbol_id,
            candidates.timeframe,
            candidates.opened_at,
            ln(bar.open / before.close) as log_jump,
            before.opened_at as before_opened_at
        from candidates
        cross join lateral (
            select bars.open
            from {raw}.bars as bars
            where
                bars.symbol_id = candidates.symbol_id
                and bars.timeframe = candidates.timeframe
                and bars.opened_at = candidates.opened_at
            order by bars.batch_id desc
            limit 1
        ) as bar
        cross join lateral (
            select bars.close, bars.opened_at
            from {raw}.bars as bars
            where
                bars.symbol_id = candidates.symbol_id
                and bars.timeframe = candidates.timeframe
                and bars.opened_at < candidates.opened_at
                and bars.opened_at
                >= candidates.opened_at - interval '14 days'
            order by bars.opened_at desc, bars.batch_id desc
            limit 1
        ) as before
    ),

    adjusted as (
        select
            opened.*,
            coalesce(factors.log_factor, 0) as log_factor,
            coalesce(factors.log_split, 0) as log_split
        from opened
        cross join lateral (
            select
                sum(ln(newest.factor)) as log_factor,
                sum(ln(newest.factor))
                    filter (where newest.kind = 'split') as log_split
            from (
                select distinct on (adjustments.effective_at, adjustments.kind)
                    adjustments.kind,
                    adjustments.factor
                from {raw}.adjustments as adjustments
                where
                    adjustments.symbol_id = opened.symbol_id
                    and adjustments.effective_at > opened.before_opened_at
                    and adjustments.effective_at <= opened.opened_at
                order by
                    adjustments.effective_at,
                    adjustments.kind,
                    adjustments.batch_id desc
            ) as newest
        ) as factors
    ),

    compared as (
        select
            adjusted.*,
            nearest.ratio,
            greatest(nearest.ratio, 1 / nearest.ratio) as size,
            abs(log_jump - log_factor - ln(nearest.ratio))
                <= {TOLERANCE} as is_near_ratio,
            abs(log_split) > {LEAST_JUMP} as has_split
        from adjusted
        cross join lateral (
            select ratios.ratio
            from (values {ratios}) as ratios (ratio)
            order by abs(log_jump - log_factor - ln(ratios.ratio))
            limit 1
        ) as nearest
    ),

    judged as (
        select
            compared.*,
            case
                when has_split and abs(log_jump + log_split) <= {TOLERANCE}
                    then 'factor_on_wrong_side'
                when has_split and abs(log_jump) <= {TOLERANCE}
                    then 'factor_without_jump'
                when is_near_ratio and day.is_ordinary
                    then 'unexplained_jump'
            end as kind
        from compared
        left join lateral (
            select
                coalesce(
                    max(days.price_range) filter (where days.is_own)
                    <= compared.size * 4 / 3
                    * percentile_cont(0.5) within group (
                        order by days.price_range
                    ) filter (where not days.is_own),
                    true
                )
                and coalesce(
                    max(days.money) filter (where days.is_own)
                    <= compared.size * 2
                    * nullif(
                        percentile_cont(0.5) within group (
                            order by days.money
                        ) filter (where not days.is_own),
                        0
                    ),
                    true
                ) as is_ordinary
            from (
                select
                    newest.opened_at >= compared.opened_at as is_own,
                    ln(max(newest.high) / min(newest.low)) as price_range,
                    sum(newest.close * newest.volume) as money
                from (
                    select distinct on (bars.opened_at)
                        bars.opened_at,
                        bars.high,
                        bars.low,
                        bars.close,
                        bars.volume
                    from {raw}.bars as bars
                    where
                        bars.symbol_id = compared.symbol_id
                        and bars.timeframe = compared.timeframe
                        and bars.opened_at
                        >= compared.opened_at - interval '30 days'
                        and bars.opened_at
                        < compared.opened_at + interval '12 hours'
                    order by bars.opened_at, bars.batch_id desc
                ) as newest
                group by
                    newest.opened_at >= compared.opened_at,
                    (newest.opened_at at time zone 'UTC')::date
            ) as days
        ) as day on compared.is_near_ratio
    )

    select
        judged.symbol_id,
        judged.timeframe,
        sessions.session_date,
        judged.opened_at,
        judged.kind,
        exp(judged.log_jump) as jump,
        case when judged.has_split then exp(judged.log_split) end as factor,
        round(
            cast(
                case judged.kind
                    when 'factor_on_wrong_side' then exp(-judged.log_split)
                    when 'factor_without_jump' then 1
                    else exp(judged.log_split) * judged.ratio
                end as numeric
            ),
            10
        )::float8 as suggested_factor
    from judged
    inner join {raw}.symbols as symbols
        on judged.symbol_id = symbols.symbol_id
    cross join lateral (
        select sessions.session_date
        from {raw}.sessions as sessions
        where
            sessions.calendar = symbols.calendar
            and sessions.session_date
            >= (judged.opened_at at time zone 'UTC')::date - 1
            and sessions.opened_at <= judged.opened_at
            and sessions.closed_at > judged.opened_at
        order by sessions.session_date
        limit 1
    ) as sessions
    where judged.kind is not null
    """


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
