{#- Bins of the largest probability, by which reliability is measured. -#}
{%- set n_bins = 10 -%}
{%- set series = 'symbol_id, ticker, timeframe, horizon, contestant' -%}

with

scores as (

    select * from {{ ref('int_outcomes_scored_by_member') }}

),

grid as (

    select
        calendar,
        timeframe,
        max(full_session_bars) as full_session_bars

    from {{ ref('bar_grid') }}

    group by calendar, timeframe

),

placed as (

    select
        scores.*,
        {{ market_block(
            'scores.bar_number',
            'scores.horizon_bars',
            'grid.full_session_bars',
        ) }} as block_number,
        cast(
            least(
                floor(scores.largest_probability * {{ n_bins }}),
                {{ n_bins - 1 }}
            ) as integer
        ) as bin_number

    from scores

    inner join grid
        on
            scores.calendar = grid.calendar
            and scores.timeframe = grid.timeframe

),

-- Small enough to be looked at by block and by bin.
reduced as (

    select
        symbol_id,
        ticker,
        timeframe,
        horizon,
        horizon_bars,
        contestant,
        block_number,
        bin_number,
        cast(count(*) as double precision) as n,
        sum(hit) as hits,
        sum(log_loss) as losses,
        sum(climatology_log_loss) as climatology_losses,
        sum(largest_probability) as probabilities,
        count(case when outcome = 'BEARISH' then 1 end) as n_bearish,
        count(case when outcome = 'NEUTRAL' then 1 end) as n_neutral,
        count(case when outcome = 'BULLISH' then 1 end) as n_bullish,
        min(closed_at) as first_closed_at,
        max(closed_at) as last_closed_at

    from placed

    group by
        symbol_id,
        ticker,
        timeframe,
        horizon,
        horizon_bars,
        contestant,
        block_number,
        bin_number

),

totalled as (

    select
        *,
        sum(losses) over (partition by {{ series }})
        / nullif(
            sum(climatology_losses) over (partition by {{ series }}), 0
        ) as loss_ratio,
        sum(losses) over (partition by {{ series }}, block_number)
            as block_losses,
        sum(climatology_losses) over (partition by {{ series }}, block_number)
            as block_climatology_losses,
        count(*) over (partition by {{ series }}, block_number)
            as block_rows,
        sum(hits) over (partition by {{ series }}, bin_number) as bin_hits,
        sum(probabilities) over (partition by {{ series }}, bin_number)
            as bin_probabilities,
        sum(n) over (partition by {{ series }}, bin_number) as bin_n

    from reduced

),

-- A block or a bin is told on each of its rows and counts once.
weighed as (

    select
        *,
        block_losses - loss_ratio * block_climatology_losses
            as block_influence,
        (bin_probabilities - bin_hits) / bin_n as bin_gap

    from totalled

),

ranked as (

    select
        symbol_id,
        ticker,
        timeframe,
        horizon,
        max(horizon_bars) as horizon_bars,
        contestant,
        cast(sum(n) as integer) as n,
        sum(1.0 / block_rows) as n_blocks,
        sum(hits) / sum(n) as accuracy,
        greatest(sum(n_bearish), sum(n_neutral), sum(n_bullish)) / sum(n)
            as majority_share,
        sum(losses) / sum(n) as log_loss,
        sum(climatology_losses) / sum(n) as climatology_log_loss,
        1 - max(loss_ratio) as skill,
        sum(block_influence * block_influence / block_rows)
            as influence_squared,
        sum(climatology_losses) as climatology_losses,
        (sum(probabilities) - sum(hits)) / sum(n) as overconfidence,
        sum(n * bin_gap * bin_gap) / sum(n) as reliability,
        min(first_closed_at) as first_closed_at,
        max(last_closed_at) as last_closed_at

    from weighed

    group by symbol_id, ticker, timeframe, horizon, contestant

),

-- By the delta method for a ratio of means, with whole blocks.
judged as (

    select
        symbol_id,
        ticker,
        timeframe,
        horizon,
        horizon_bars,
        contestant,
        n,
        cast(round(n_blocks) as integer) as n_blocks,
        accuracy,
        majority_share,
        log_loss,
        climatology_log_loss,
        skill,
        case
            when round(n_blocks) > 1
                then
                    {{ guarded_sqrt(
                        'round(n_blocks) / (round(n_blocks) - 1)'
                        ~ ' * influence_squared'
                    ) }} / nullif(climatology_losses, 0)
        end as skill_standard_error,
        overconfidence,
        reliability,
        first_closed_at,
        last_closed_at

    from ranked

)

select * from judged
