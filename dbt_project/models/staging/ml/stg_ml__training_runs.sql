with

source as (

    select * from {{ source('ml', 'training_runs') }}

    where {{ is_not_after_as_of('as_of') }}

),

renamed as (

    select

        ---------- ids
        training_run_id,
        symbol_id,
        version_id,
        cut_id,
        job_run_id,

        ---------- series
        timeframe,
        horizon,
        trigger,
        status,

        ---------- numerics
        n_fit,
        n_validation,
        train_accuracy,
        ensemble_validation_accuracy as validation_accuracy,
        ensemble_validation_accuracy_se as validation_accuracy_se,
        baseline_accuracy as climatology_accuracy,
        majority_share,
        skill,
        skill_se,

        ---------- timestamps
        as_of,
        created_at

    from source

)

select * from renamed
