"""A hand-made market in the built tables, small enough to break on purpose.

Two symbols, 120 grid bars d1 and 24 w1, no dbt: each table holds the columns
that the expectations read. Labels and the split are made the way the dbt
models make them, so that a test can change one thing and see who notices.

With `is_intraday` there is a third symbol, MSFT, loaded as m15 and rolled up
to h1, h4, d1 and w1.
"""

import sqlalchemy as sa

from python_ml.schema import training_cuts
from python_ml.warehouse.connection import Warehouse

N_DAYS = 120
FEATURES = ("return_1", "realized_volatility_20", "volume_ratio_20")

GRID_AND_BARS = """
create schema {features};

create table {features}.timeframes as
select *
from (
    values
        ('m15', 1, 15, null, 'h1', 400),
        ('h1', 2, 60, 'm15', 'h4', 400),
        ('h4', 3, 240, 'h1', 'd1', 400),
        ('d1', 4, null, 'h4', 'w1', 60),
        ('w1', 5, null, 'd1', null, 20)
) as seed (
    timeframe, sort_order, minutes, finer_timeframe, higher_timeframe,
    window_bars
);

create table {features}.horizons as
select *
from (
    values
        ('XNYS', 'd1', '1d', 1),
        ('XNYS', 'd1', '5d', 5),
        ('XNYS', 'w1', '20d', 4),
        ('XNYS', 'm15', '1h', 4),
        ('XNYS', 'm15', '1d', 26),
        ('XNYS', 'h1', '1d', 7),
        ('XNYS', 'h1', '5d', 35),
        ('XNYS', 'h4', '1d', 2),
        ('XNYS', 'h4', '5d', 10)
) as seed (calendar, timeframe, horizon, horizon_bars);

create schema {intermediate};

create view {intermediate}.int_horizons_completed_with_defaults as
select * from {features}.horizons;

create table {features}.feature_catalog as
select *
from (
    values
        ('return_1', 1),
        ('realized_volatility_20', 2),
        ('volume_ratio_20', 3)
) as seed (feature, sort_order);

-- Five sessions a week without holidays, ten weeks of them still to come.
create table {features}.bar_grid as
select
    'XNYS' as calendar,
    'd1' as timeframe,
    n as bar_number,
    date '2012-01-02' + (n - 1) / 5 * 7 + (n - 1) % 5 as session_date,
    (date '2012-01-02' + (n - 1) / 5 * 7 + (n - 1) % 5 + time '14:30')
        at time zone 'UTC' as opened_at,
    (date '2012-01-02' + (n - 1) / 5 * 7 + (n - 1) % 5 + time '21:00')
        at time zone 'UTC' as closed_at
from generate_series(1, 170) as n;

insert into {features}.bar_grid
select
    calendar,
    'w1',
    max(bar_number) / 5,
    max(session_date),
    min(opened_at),
    max(closed_at)
from {features}.bar_grid
group by calendar, (bar_number - 1) / 5;

insert into {raw}.symbols (ticker, calendar, source)
values ('AAPL', 'XNYS', 'test'), ('IBM', 'XNYS', 'test');

insert into {raw}.bars (
    symbol_id, timeframe, opened_at, batch_id, closed_at, open, high, low,
    close, volume, recorded_at, is_backfill, ingested_at, source
)
select
    symbols.symbol_id,
    'd1',
    grid.opened_at,
    1,
    grid.closed_at,
    100 + 5 * sin(grid.bar_number + symbols.symbol_id),
    110,
    90,
    100 + 5 * sin(grid.bar_number + symbols.symbol_id + 1.0),
    1000,
    grid.closed_at,
    true,
    grid.closed_at,
    'test'
from {raw}.symbols as symbols, {features}.bar_grid as grid
where grid.timeframe = 'd1' and grid.bar_number <= 120;

create table {features}.bars as
select
    bars.symbol_id,
    symbols.ticker,
    grid.calendar,
    grid.timeframe,
    grid.bar_number,
    grid.session_date,
    grid.opened_at,
    grid.closed_at,
    bars.open, bars.high, bars.low, bars.close, bars.volume,
    bars.open as adjusted_open,
    bars.high as adjusted_high,
    bars.low as adjusted_low,
    bars.close as adjusted_close,
    bars.volume as adjusted_volume,
    case when grid.timeframe = 'w1' then 'd1' end as rolled_up_from
from {features}.bar_grid as grid
inner join {raw}.bars as bars on grid.closed_at = bars.closed_at
inner join {raw}.symbols as symbols on bars.symbol_id = symbols.symbol_id;

update {features}.bars set opened_at = grid.opened_at
from {features}.bar_grid as grid
where
    grid.timeframe = bars.timeframe and grid.bar_number = bars.bar_number;
"""

# Sessions of six and a half hours; the last bar of each is cut short.
INTRADAY = """
insert into {features}.bar_grid
select
    sessions.calendar,
    timeframes.timeframe,
    (sessions.bar_number - 1) * ((390 - 1) / timeframes.minutes + 1) + place,
    sessions.session_date,
    sessions.opened_at
    + (place - 1) * timeframes.minutes * interval '1 minute',
    least(
        sessions.opened_at + place * timeframes.minutes * interval '1 minute',
        sessions.closed_at
    )
from {features}.bar_grid as sessions
cross join {features}.timeframes as timeframes
cross join
    lateral generate_series(1, (390 - 1) / timeframes.minutes + 1) as place
where sessions.timeframe = 'd1' and timeframes.minutes is not null;

insert into {raw}.symbols (ticker, calendar, source)
values ('MSFT', 'XNYS', 'test');

insert into {raw}.bars (
    symbol_id, timeframe, opened_at, batch_id, closed_at, open, high, low,
    close, volume, recorded_at, is_backfill, ingested_at, source
)
select
    symbols.symbol_id, 'm15', grid.opened_at, 1, grid.closed_at, 100, 110, 90,
    100 + 5 * sin(grid.bar_number), 1000, grid.closed_at, true, grid.closed_at,
    'test'
from {raw}.symbols as symbols, {features}.bar_grid as grid
where
    symbols.ticker = 'MSFT'
    and grid.timeframe = 'm15'
    and grid.bar_number <= 120 * 26;

insert into {features}.bars
select
    parts.symbol_id,
    'MSFT',
    grid.calendar,
    grid.timeframe,
    grid.bar_number,
    grid.session_date,
    grid.opened_at,
    grid.closed_at,
    100, 110, 90, 100, sum(parts.volume),
    100, 110, 90, 100, sum(parts.volume),
    case when grid.timeframe <> 'm15' then 'm15' end
from {raw}.bars as parts
inner join {features}.bar_grid as grid
    on parts.opened_at >= grid.opened_at and parts.closed_at <= grid.closed_at
where parts.timeframe = 'm15'
group by
    parts.symbol_id, grid.calendar, grid.timeframe, grid.bar_number,
    grid.session_date, grid.opened_at, grid.closed_at;
"""

FEATURES_AND_LABELS = """
create table {features}.feature_rows as
select
    symbol_id,
    ticker,
    calendar,
    timeframe,
    bar_number,
    session_date,
    closed_at,
    bar_number > 5 as is_usable,
    case when bar_number <= 5 then 'warm_up' end as unusable_reason,
    closed_at as last_bar_closed_at,
    case when timeframe = 'd1' then closed_at - interval '7 days' end
        as higher_bar_closed_at,
    close as reference_close,
    case when bar_number > 5 then sin(bar_number) end as return_1,
    case when bar_number > 5 then cos(bar_number) end
        as realized_volatility_20,
    case when bar_number > 5 then 1.0 end as volume_ratio_20
from {features}.bars;

create table {features}.labels as
select
    bars.symbol_id,
    bars.ticker,
    bars.calendar,
    bars.timeframe,
    horizons.horizon,
    horizons.horizon_bars,
    bars.bar_number,
    bars.closed_at,
    case when targets.symbol_id is not null then
        (array['BEARISH', 'NEUTRAL', 'BULLISH'])
            [1 + (bars.bar_number + bars.symbol_id) % 3]
    end as label,
    case when targets.symbol_id is not null then
        ((bars.bar_number + bars.symbol_id) % 3 - 1) * 0.02
    end as label_return,
    case when targets.symbol_id is null then 'not_closed' end as label_reason,
    0.02 as expected_volatility,
    0.01 as label_threshold,
    bars.bar_number + horizons.horizon_bars as label_end_bar_number,
    ends.closed_at as label_end_at
from {features}.bars as bars
inner join {features}.horizons as horizons
    on bars.timeframe = horizons.timeframe
left join {features}.bar_grid as ends
    on
        bars.timeframe = ends.timeframe
        and bars.bar_number + horizons.horizon_bars = ends.bar_number
left join {features}.bars as targets
    on
        bars.symbol_id = targets.symbol_id
        and bars.timeframe = targets.timeframe
        and bars.bar_number + horizons.horizon_bars = targets.bar_number;
"""

EXAMPLES = """
create or replace view {features}.training_examples as
select
    cuts.cut_id,
    cuts.as_of,
    case
        when labels.label_end_at < cuts.fit_labels_end_before then 'fit'
        when labels.closed_at >= cuts.validation_starts_at
            then 'validation'
        else 'purged'
    end as split_part,
    labels.symbol_id,
    labels.ticker,
    labels.calendar,
    labels.timeframe,
    labels.horizon,
    labels.horizon_bars,
    labels.bar_number,
    feature_rows.session_date,
    labels.closed_at,
    labels.label,
    labels.label_return,
    labels.expected_volatility,
    labels.label_threshold,
    labels.label_end_bar_number,
    labels.label_end_at,
    feature_rows.return_1,
    feature_rows.realized_volatility_20,
    feature_rows.volume_ratio_20
from {ml}.training_cuts as cuts
inner join {features}.labels as labels
    on
        cuts.calendar = labels.calendar
        and cuts.timeframe = labels.timeframe
        and cuts.window_starts_at <= labels.closed_at
        and cuts.as_of >= labels.label_end_at
inner join {features}.feature_rows as feature_rows
    on
        labels.symbol_id = feature_rows.symbol_id
        and labels.timeframe = feature_rows.timeframe
        and labels.bar_number = feature_rows.bar_number
where labels.label is not null and feature_rows.is_usable
"""


def build(warehouse: Warehouse, *, is_intraday: bool = False) -> None:
    """Fill a migrated, empty warehouse."""
    execute(warehouse, GRID_AND_BARS)
    if is_intraday:
        execute(warehouse, INTRADAY)
    execute(warehouse, FEATURES_AND_LABELS)
    execute(warehouse, EXAMPLES)


def execute(warehouse: Warehouse, text: str) -> None:
    """Run statements with `{features}` and the like filled in."""
    with warehouse.begin() as connection:
        connection.exec_driver_sql(warehouse.sql(text).replace("%", "%%"))


def change_examples(warehouse: Warehouse, old: str, new: str) -> None:
    """Make the view anew with one piece of its text replaced."""
    assert EXAMPLES.count(old) == 1, old
    execute(warehouse, EXAMPLES.replace(old, new))


def add_cut(
    warehouse: Warehouse,
    *,
    timeframe: str = "d1",
    embargo_bars: int = 1,
    as_of_bar: int = 110,
    split_bar: int = 76,
    first_bar: int = 20,
) -> int:
    """Write a cut between grid bars; return its number."""
    query = warehouse.sql(
        """
        select bar_number, closed_at
        from {features}.bar_grid
        where timeframe = :timeframe
        """
    )
    with warehouse.begin() as connection:
        closed_at = {
            row.bar_number: row.closed_at
            for row in connection.execute(
                sa.text(query), {"timeframe": timeframe}
            )
        }
        return int(
            connection.execute(
                sa.insert(training_cuts)
                .values(
                    calendar="XNYS",
                    timeframe=timeframe,
                    as_of=closed_at[as_of_bar],
                    split="70/30",
                    embargo_bars=embargo_bars,
                    window_bars=as_of_bar - first_bar + 1,
                    window_starts_at=closed_at[first_bar],
                    fit_labels_end_before=closed_at[
                        split_bar - embargo_bars + 1
                    ],
                    validation_starts_at=closed_at[split_bar],
                    scope="all",
                )
                .returning(training_cuts.c.cut_id)
            ).scalar_one()
        )
