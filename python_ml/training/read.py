"""Read the rows of a group, and look once more that they keep to its cut."""

from python_ml.examples.arrays import SeriesExamples
from python_ml.examples.leakage import check_cut
from python_ml.examples.pooled import read_pooled_examples
from python_ml.examples.reading import read_examples
from python_ml.examples.series import Series
from python_ml.training.plan import Group
from python_ml.training.pooled_members import Pool
from python_ml.training.run import TrainingRun


def read_group(
    run: TrainingRun, group: Group
) -> tuple[dict[int, SeriesExamples], dict[Series, str]]:
    """Rows of the group by symbol_id, and why a series has none."""
    examples = read_examples(
        run.warehouse,
        group.cut_id,
        group.series,
        run.feature_names,
        n_path_bars=run.roster.n_path_bars,
    )
    absent = {}
    for series in group.series:
        if series.symbol_id not in examples:
            absent[series] = (
                f"{series} has no usable row with labels in the window since "
                f"{group.cut.window_starts_at:%Y-%m-%d}. See "
                "features.feature_rows (unusable_reason)."
            )
            continue
        for rows in examples[series.symbol_id].horizons:
            check_cut(
                rows.label_end_at,
                rows.split_parts,
                fit_labels_end_before=group.cut.fit_labels_end_before,
                as_of=group.cut.as_of,
                what=f"{series} {rows.horizon}",
            )
    return examples, absent


def read_pool(run: TrainingRun, group: Group) -> Pool:
    """What the pooled members of the group learn from."""
    examples = (
        read_pooled_examples(
            run.warehouse, group.cut_id, group.pool, run.feature_names
        )
        if run.roster.pooled
        else []
    )
    for rows in examples:
        check_cut(
            rows.label_end_at,
            rows.split_parts,
            fit_labels_end_before=group.cut.fit_labels_end_before,
            as_of=group.cut.as_of,
            what=f"Pooled members of {group.cut.timeframe} {rows.horizon}",
        )
    return Pool(
        group.cut_id,
        group.cut,
        run.roster.pooled,
        run.feature_names,
        tuple(examples),
    )
