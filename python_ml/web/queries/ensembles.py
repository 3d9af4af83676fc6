"""What the page of ensembles asks."""

from python_ml.web.content import Query

WEIGHTS = Query("""
    select
        member, weight, method, alpha, reason, version_id, effective_at,
        superseded_at
    from {monitoring}.weight_history
    where
        ticker = :symbol and timeframe = :timeframe and horizon = :horizon
    order by effective_at, weight desc
""")

SPANS = Query("""
    select
        spans.horizon, spans.version_id, spans.reason, spans.effective_at,
        spans.superseded_at, spans.created_at
    from {ml}.deployment_spans as spans
    inner join {raw}.symbols as symbols using (symbol_id)
    where symbols.ticker = :symbol and spans.timeframe = :timeframe
    order by spans.effective_at, spans.deployment_id
""")

VERSIONS = Query("""
    select
        ensembles.version_id, ensembles.as_of, ensembles.created_at,
        runs.horizon, runs.n_fit, runs.n_validation, runs.skill, runs.skill_se,
        runs.ensemble_validation_accuracy, runs.baseline_accuracy,
        runs.is_overfit, runs.weight_method, ensembles.code_version
    from {ml}.ensembles as ensembles
    inner join {raw}.symbols as symbols using (symbol_id)
    left join {ml}.training_runs as runs
        on
            runs.version_id = ensembles.version_id
            and runs.horizon = :horizon
    where
        symbols.ticker = :symbol
        and ensembles.timeframe = :timeframe
        and ensembles.run_name is null
    order by ensembles.created_at desc
    limit 60
""")

COMPARED_RUNS = Query("""
    select
        version_id, horizon, n_fit, n_validation, n_validation_effective,
        ensemble_validation_accuracy, baseline_accuracy, skill, skill_se,
        weight_method, weight_reason, as_of
    from {ml}.training_runs
    where version_id in (:left, :right)
    order by length(horizon), horizon, version_id
""")

COMPARED_WEIGHTS = Query("""
    select version_id, horizon, member, weight
    from {ml}.ensemble_weights
    where version_id in (:left, :right)
    order by length(horizon), horizon, member
""")

# By length first, 5d comes before 20d.
PROMOTIONS = Query("""
    select
        created_at, as_of, horizon, verdict, is_promoted, n_series, n_bars,
        n_blocks, mean_difference, mean_difference_se,
        climatology_difference, climatology_difference_se, reason, rule
    from {ml}.promotions
    where
        calendar = :calendar and timeframe = :timeframe and run_name is null
    order by created_at desc, length(horizon), horizon
    limit 60
""")
