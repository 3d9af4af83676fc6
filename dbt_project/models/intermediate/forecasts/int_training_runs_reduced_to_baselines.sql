{#- The standard normal quantile at 0.975. -#}
{%- set z = 1.959963984540054 -%}

with

training_runs as (

    select
        training_run_id,
        version_id,
        horizon,
        validation_accuracy,
        validation_accuracy_se

    from {{ ref('stg_ml__training_runs') }}

    where
        status = 'succeeded'
        and version_id is not null

),

-- A training that arrives at a version already on record leaves a second run
-- of the same numbers; the first is the one the version was deployed on.
first_runs as (

    select
        version_id,
        horizon,
        min(training_run_id) as training_run_id

    from training_runs

    group by version_id, horizon

),

baselines as (

    select
        training_runs.version_id,
        training_runs.horizon,
        training_runs.validation_accuracy as baseline_accuracy,
        training_runs.validation_accuracy
        - {{ z }} * training_runs.validation_accuracy_se
            as baseline_accuracy_lower

    from training_runs

    inner join first_runs
        on training_runs.training_run_id = first_runs.training_run_id

)

select * from baselines
