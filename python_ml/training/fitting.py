"""Fit the members of one series, on arrays alone.

This is what worker processes run: no database, no files. Members are fitted
twice with the same settings: on `fit`, to be weighed and scored on
validation, and on the whole window, to be deployed.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from python_ml.ensemble import (
    CLASSES,
    FittedMember,
    FloatArray,
    MemberPredictions,
    PackedMember,
    PooledMember,
    divide_moves,
)
from python_ml.examples.arrays import (
    FIT,
    SPLIT_PARTS,
    VALIDATION,
    HorizonExamples,
    SeriesExamples,
)
from python_ml.exceptions import NotEnoughDataError, TrainingError
from python_ml.members import CLIMATOLOGY, PER_SERIES, Roster, make_member
from python_ml.members.base import IntArray, Member
from python_ml.scoring.bands import conformal_quantiles
from python_ml.scoring.requirements import (
    MIN_FIT_ROWS,
    MIN_VALIDATION_ROWS,
)


@dataclass(frozen=True)
class PooledJudgement:
    """What a pooled member that was fitted on `fit` says of a series' rows.

    Parameters
    ----------
    P : ndarray of shape (n_samples, 3)
        For every row of the horizon's examples.
    pooled_member_id, sha256 : str
        Of the artifact that is deployed.
    prior_share : float, default=1.0
        Share of its prior weight that it has learnt enough for.
    failure : str or None, default=None
        Why there is none; the rest is empty then.
    """

    P: FloatArray
    pooled_member_id: str
    sha256: str
    prior_share: float = 1.0
    failure: str | None = None


# By horizon, then by member.
PooledJudgements = Mapping[str, Mapping[str, PooledJudgement]]


@dataclass(frozen=True)
class FittedHorizon:
    """Members of one series and horizon, and what they said in validation.

    Parameters
    ----------
    examples : HorizonExamples
        Without features, which are no longer needed.
    members : mapping of str to FittedMember
        Refitted on the whole window, pooled ones as references; those that
        failed are absent.
    validation : MemberPredictions
        By members fitted on `fit`; a failed member's are climatology's.
    fit_probabilities : ndarray of shape (n_fit, n_members, 3)
        The same members on the rows they were fitted on.
    fit_y : ndarray of int of shape (n_fit,)
        Labels of those rows.
    climatology : ndarray of shape (3,)
        Of the whole window.
    class_mean_moves : ndarray of shape (3,)
        Mean move by class over the window.
    move_quantiles : mapping of float to (float, float)
        Of validation, by band level.
    failures : mapping of str to str
        Why a member was left out.
    seconds : float
        Spent on this horizon.
    """

    examples: HorizonExamples
    members: Mapping[str, FittedMember]
    validation: MemberPredictions
    fit_probabilities: FloatArray
    fit_y: IntArray
    climatology: FloatArray
    class_mean_moves: FloatArray
    move_quantiles: Mapping[float, tuple[float, float]]
    failures: Mapping[str, str]
    seconds: float


@dataclass(frozen=True)
class FitFailure:
    """A series that could not be fitted, and why.

    Parameters
    ----------
    message : str
        For people.
    """

    message: str


def fit_series(
    examples: SeriesExamples, roster: Roster = PER_SERIES
) -> tuple[FittedHorizon, ...] | FitFailure:
    """Fit every horizon of a series; a failure is returned, not raised.

    Each process uses one thread: there are as many processes as cores.

    Parameters
    ----------
    examples : SeriesExamples
        Of one series.
    roster : Roster, optional
        The members that are in. The places of pooled ones are kept for
        `with_pooled`.
    """
    try:
        with threadpool_limits(limits=1):
            return tuple(
                _packed(
                    fit_horizon(
                        rows,
                        feature_names=examples.feature_names,
                        roster=roster,
                        what=f"{examples.ticker} {examples.timeframe} "
                        f"{rows.horizon}",
                    )
                )
                for rows in examples.horizons
            )
    except NotEnoughDataError as error:
        return FitFailure(str(error))
    except Exception as error:
        # One series must not end the training of all others.
        return FitFailure(
            f"{examples.ticker} {examples.timeframe}: "
            f"{type(error).__name__}: {error}"
        )


def _packed(fitted: FittedHorizon) -> FittedHorizon:
    return replace(
        fitted,
        members={
            name: PackedMember.pack(member)
            for name, member in fitted.members.items()
        },
    )


def fit_horizon(
    rows: HorizonExamples,
    *,
    feature_names: Sequence[str],
    roster: Roster = PER_SERIES,
    what: str = "this series",
) -> FittedHorizon:
    """Fit the members of one horizon on `fit`, then on the whole window.

    A member that raises is left out with its reason; climatology must not.
    So is a pooled one, until `with_pooled` puts it in its place.

    Parameters
    ----------
    rows : HorizonExamples
        Of one series.
    feature_names : sequence of str
        For messages.
    roster : Roster, optional
        The members that are in.
    what : str, optional
        Series and horizon, for messages.

    Raises
    ------
    NotEnoughDataError
        If the rows are too few, lack a class or hold NaN.
    """
    started = time.monotonic()
    check_examples(rows, feature_names=feature_names, what=what)
    is_fit = rows.split_parts == FIT
    is_validation = rows.split_parts == VALIDATION
    X_fit, X_validation = rows.X[is_fit], rows.X[is_validation]
    fit_P, validation_P = [], []
    members: dict[str, FittedMember] = {}
    failures: dict[str, str] = {}
    climatology = _fit_member(
        CLIMATOLOGY, rows, is_fit, climatology=rows.fit_climatology
    )
    window_climatology = _fit_member(
        CLIMATOLOGY,
        rows,
        np.ones_like(is_fit),
        climatology=rows.window_climatology,
    )
    for name in roster.names:
        try:
            if name in roster.pooled:
                raise TrainingError("over all series: not judged")
            judged = _fit_member(
                name, rows, is_fit, climatology=rows.fit_climatology
            )
            on_fit = _probabilities(judged, X_fit)
            on_validation = _probabilities(judged, X_validation)
            members[name] = _fit_member(
                name,
                rows,
                np.ones_like(is_fit),
                climatology=rows.window_climatology,
            )
        except Exception as error:
            if name == CLIMATOLOGY:
                raise
            failures[name] = f"{type(error).__name__}: {error}"
            on_fit = climatology.predict_proba(X_fit)
            on_validation = climatology.predict_proba(X_validation)
        fit_P.append(on_fit)
        validation_P.append(on_validation)
    n_classes = len(CLASSES)
    return FittedHorizon(
        examples=_without_features(rows),
        members=members,
        validation=MemberPredictions(
            member_names=roster.names,
            prior_weights=tuple(roster.weights),
            probabilities=np.stack(validation_P, axis=1),
            y=rows.y[is_validation],
            climatology=climatology.climatology_,
            closed_at=rows.closed_at[is_validation],
            label_end_at=rows.label_end_at[is_validation],
        ),
        fit_probabilities=np.stack(fit_P, axis=1),
        fit_y=rows.y[is_fit],
        climatology=window_climatology.climatology_,
        class_mean_moves=np.bincount(
            rows.y, weights=rows.moves, minlength=n_classes
        )
        / np.bincount(rows.y, minlength=n_classes),
        move_quantiles=conformal_quantiles(rows.moves[is_validation]),
        failures=failures,
        seconds=time.monotonic() - started,
    )


def with_pooled(
    fitted: FittedHorizon, pooled: Mapping[str, PooledJudgement]
) -> FittedHorizon:
    """Put what pooled members say into their places.

    One that failed stays left out, with its reason. What one that learnt from
    few labels lacks of its prior weight goes to all in proportion.

    Parameters
    ----------
    fitted : FittedHorizon
        Of a roster that names them.
    pooled : mapping of str to PooledJudgement
        By member.
    """
    names = fitted.validation.member_names
    on_fit = fitted.fit_probabilities.copy()
    on_validation = fitted.validation.probabilities.copy()
    members, failures = dict(fitted.members), dict(fitted.failures)
    prior_weights = np.array(fitted.validation.prior_weights)
    for name, judgement in pooled.items():
        place = names.index(name)
        try:
            if judgement.failure is not None:
                raise TrainingError(f"over all series: {judgement.failure}")
            said_on_fit, said_on_validation = (
                _checked(
                    divide_moves(
                        judgement.P[fitted.examples.split_parts == part],
                        fitted.validation.climatology,
                    )
                )
                for part in (FIT, VALIDATION)
            )
        except Exception as error:
            failures[name] = f"{type(error).__name__}: {error}"
        else:
            failures.pop(name)
            prior_weights[place] *= judgement.prior_share
            on_fit[:, place] = said_on_fit
            on_validation[:, place] = said_on_validation
            members[name] = PooledMember(
                judgement.pooled_member_id,
                judgement.sha256,
                fitted.climatology,
            )
    return replace(
        fitted,
        members={name: members[name] for name in names if name in members},
        validation=replace(
            fitted.validation,
            probabilities=on_validation,
            prior_weights=tuple((prior_weights / prior_weights.sum()).tolist()),
        ),
        fit_probabilities=on_fit,
        failures=failures,
    )


def check_examples(
    rows: HorizonExamples, *, feature_names: Sequence[str], what: str
) -> None:
    """Refuse rows from which nothing can be learnt.

    Raises
    ------
    NotEnoughDataError
        Too few rows, a class that is missing from `fit`, NaN, or features
        that are all constant.
    """
    for part, n_needed in (
        ("fit", MIN_FIT_ROWS),
        ("validation", MIN_VALIDATION_ROWS),
    ):
        found = rows.count(SPLIT_PARTS[part])
        if found < n_needed:
            raise NotEnoughDataError(
                f"{what} has {found} rows to {_VERBS[part]} on and needs "
                f"{n_needed}. Load more bars or use a later --as-of; why rows "
                "are missing stands in features.feature_rows "
                "(unusable_reason)."
            )
    bad = ~np.isfinite(rows.X)
    if bad.any():
        column = int(bad.any(axis=0).argmax())
        raise NotEnoughDataError(
            f"{what}: feature {feature_names[column]} is NaN or infinite in "
            f"{int(bad[:, column].sum())} of {len(rows.X)} rows that count as "
            "usable. Run: swiftbolt validate"
        )
    if not np.isfinite(rows.moves).all():
        raise NotEnoughDataError(
            f"{what}: label_return / expected_volatility is not finite in "
            f"{int((~np.isfinite(rows.moves)).sum())} rows. Run: swiftbolt "
            "validate"
        )
    X = rows.X[rows.split_parts == FIT]
    if not np.ptp(X, axis=0).any():
        raise NotEnoughDataError(
            f"{what}: every feature is constant over the {len(X)} rows to fit "
            "on, so there is nothing to learn from. Check the bars: swiftbolt "
            "validate"
        )
    counts = np.bincount(
        rows.y[rows.split_parts == FIT], minlength=len(CLASSES)
    )
    if (counts == 0).any():
        shares = ", ".join(
            f"{count} {label}"
            for label, count in zip(CLASSES, counts, strict=True)
        )
        raise NotEnoughDataError(
            f"{what} has {shares} among its rows to fit on; every class is "
            "needed. Widen the rule in the seed label_rules or use another "
            "--as-of."
        )


_VERBS = {"fit": "fit", "validation": "validate"}


def _fit_member(
    name: str,
    rows: HorizonExamples,
    used: npt.NDArray[np.bool_],
    *,
    climatology: FloatArray,
) -> Member:
    member = make_member(
        name, horizon_bars=rows.horizon_bars, climatology=climatology
    )
    return member.fit(rows.X[used], rows.y[used])


def _probabilities(member: Member, X: FloatArray) -> FloatArray:
    return _checked(member.predict_proba(X), n_samples=len(X))


def _checked(P: FloatArray, n_samples: int | None = None) -> FloatArray:
    n_samples = len(P) if n_samples is None else n_samples
    if P.shape != (n_samples, len(CLASSES)) or not (
        np.isfinite(P).all()
        and (P >= 0).all()
        and np.allclose(P.sum(axis=1), 1.0, atol=1e-6)
    ):
        raise ValueError("its probabilities are no probabilities")
    return P


def _without_features(rows: HorizonExamples) -> HorizonExamples:
    values = {**vars(rows), "X": np.empty((len(rows.y), 0))}
    return HorizonExamples(**values)
