"""What the page of data asks."""

from python_ml.web.content import Query
from python_ml.web.queries.symbols import of_symbol

# Asked by the overview as well, which then costs nothing more.
HEALTH = Query(
    """
    select
        ticker, calendar, timeframe, status, is_expected, reason, details,
        since, recovers_on, newest_closed_at, sessions_behind, n_bars,
        n_missing_bars, n_suspected_splits
    from {monitoring}.series_health
    order by
        case when is_expected and status <> 'forecast' then 0 else 1 end,
        ticker, timeframe_order
""",
    is_changed_by_jobs_alone=True,
)

GAPS = of_symbol("""
    select
        timeframe, first_session_date, last_session_date, n_bars, is_carried
    from {features}.gaps
    where IS_CHOSEN
    order by last_session_date desc, timeframe
    limit 200
""")

SPLITS = Query(
    """
    select
        ticker, timeframe, session_date, kind, jump, factor,
        suggested_factor, remedy
    from {monitoring}.suspected_splits
    order by session_date desc, ticker
    limit 200
""",
    is_changed_by_jobs_alone=True,
)

REJECTED = Query("""
    select
        batch_source, ticker, timeframe, reason, count(*) as n,
        min(rejected_at) as first_rejected_at,
        max(rejected_at) as last_rejected_at
    from {raw}.rejected_bars
    group by batch_source, ticker, timeframe, reason
    order by n desc
    limit 200
""")

VALIDATIONS = Query("""
    select
        suite,
        dataset,
        max(validated_at) as validated_at,
        count(*) as n_expectations,
        count(*) filter (where not is_success) as n_failed,
        max(n_rows) as n_rows,
        string_agg(
            case
                when not is_success
                    then expectation || coalesce(' of ' || column_name, '')
            end, '; '
        ) as failed
    from {ml}.validation_results
    where (suite, job_run_id) in (
        select suite, max(job_run_id)
        from {ml}.validation_results
        group by suite
    )
    group by suite, dataset
    order by n_failed desc, suite, dataset
""")

# Only of a load of ordinary size; a first load restates nothing.
LOADS = Query("""
    with
    newest as (
        select *
        from {raw}.ingest_batches
        order by batch_id desc
        limit 30
    )
    select
        newest.batch_id, newest.source, newest.ingested_at, newest.n_bars,
        case
            when newest.n_bars <= 20000
                then (
                    select count(*)
                    from {raw}.bars as bars
                    where
                        bars.batch_id = newest.batch_id
                        and not bars.is_backfill
                )
        end as n_restated,
        newest.n_adjustments, newest.n_rejected
    from newest
    order by newest.batch_id desc
""")

BUILDS = Query("""
    select job, status, started_at, error_message
    from {ml}.job_runs
    where job in ('build', 'run') and status <> 'running'
    order by started_at desc
    limit 5
""")

AUDITS = (
    "bar_off_grid",
    "bar_without_session",
    "duplicate_grain",
    "feature_built_from_later_bar",
    "forecast_by_version_from_its_future",
    "forecast_issued_by_wrong_clock",
    "higher_bar_used_before_its_close",
    "label_crosses_cut",
    "label_end_off_grid",
    "label_present_before_its_time",
    "pooled_label_crosses_cut",
    "restatement_used_before_it_was_recorded",
    "series_in_training_and_not_in_scoring",
    "training_row_not_known_at_as_of",
)

SET_ASIDE = Query("""
    select
        symbols.ticker, symbols.calendar, quarantined.timeframe,
        quarantined.source, quarantined.reason, quarantined.details,
        quarantined.quarantined_at, quarantined.released_at
    from {ml}.quarantined_series as quarantined
    inner join {raw}.symbols as symbols using (symbol_id)
    order by
        case when quarantined.released_at is null then 0 else 1 end,
        quarantined.quarantined_at desc
    limit 200
""")
