"""What the page of drift asks."""

from python_ml.web.content import Query

# Asked by the overview as well, which then costs nothing more.
STATUS = Query(
    """
    select
        ticker, timeframe, n_predictions, n_effective, accuracy,
        accuracy_lower, accuracy_upper, baseline_accuracy, drift_margin,
        status, trend, drift_detected, reading, recommendation,
        window_ends_at
    from {monitoring}.drift_status
    order by drift_detected desc nulls last, drift_margin, ticker, timeframe
""",
    is_changed_by_jobs_alone=True,
)

DAYS = Query("""
    select
        date, accuracy, accuracy_lower, accuracy_upper, baseline_accuracy,
        drift_margin, n_predictions, n_settled, n_effective, judged_window,
        status, drift_detected, reading
    from {monitoring}.drift_monitoring
    where ticker = :symbol and timeframe = :timeframe
    order by date desc
    limit 400
""")

CHECKS = Query("""
    select
        checks.checked_at, checks.window_ends_at, checks.n_predictions,
        checks.accuracy, checks.baseline_accuracy, checks.drift_margin,
        checks.status, checks.recommendation
    from {ml}.drift_checks as checks
    inner join {raw}.symbols as symbols using (symbol_id)
    where symbols.ticker = :symbol and checks.timeframe = :timeframe
    order by checks.checked_at desc
    limit 60
""")

EVIDENCE = Query("""
    select
        horizon, test, evidence, threshold, is_alarm, is_discovery,
        alarm_since, n_settled, last_settled_at
    from {monitoring}.drift_evidence
    where timeframe = :timeframe and (ticker = :symbol or ticker is null)
    order by evidence / threshold desc nulls last, horizon, test
""")

FEATURES = Query("""
    select
        feature, stability_index, stability_index_by_chance,
        reference_missing_rate, recent_missing_rate, n_reference, n_recent,
        trained_as_of
    from {monitoring}.feature_drift
    where ticker = :symbol and timeframe = :timeframe
    order by place
""")
