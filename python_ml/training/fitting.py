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
    VALIDATION,
    HorizonExamples,
    SeriesExamples,
)
from python_ml.exceptions import NotEnoughDataError
from python_ml.members import CLIMATOLOGY, PER_SERIES, Roster, make_member
from python_ml.members.base import IntArray, Member
from python_ml.training.checks import check_examples


@dataclass(frozen=True)
class PooledPrediction:
    """What a pooled member that was fitted on `fit` predicts for a series.

    Parameters
    ----------
    P : ndarray of shape (n_samples, 3)
        For every row of the horizon's examples.
    pooled_member_id, sha256 : str
        Of the artifact that is deployed.
    prior_share : float, default=1.0
        Share of its prior weight that it has learnt enough for.
    """

    P: FloatArray
    pooled_member_id: str
    sha256: str
    prior_share: float = 1.0


# By member: its predictions, or why there are none.
PooledPredictions = Mapping[str, PooledPrediction | str]


@dataclass(frozen=True)
class FittedHorizon:
    """Members of one series and horizon, and what they predict.

    `fit_horizon` fits those that learn from the series alone; `with_pooled`
    adds the pooled ones.

    Parameters
    ----------
    examples : HorizonExamples
        Without features, which are no longer needed.
    members : mapping of str to FittedMember
        Refitted on the whole window, pooled ones as references; those that
        failed are absent.
    validation : MemberPredictions
        Of validation, by members fitted on `fit`; a failed member's are
        climatology's.
    fit_probabilities : ndarray of shape (n_fit, n_members, 3)
        The same members on the rows they were fitted on.
    fit_y : ndarray of int of shape (n_fit,)
        Labels of those rows.
    climatology : ndarray of shape (3,)
        Of the whole window.
    feature_ranges : ndarray of shape (2, n_features)
        Lowest and highest value of each feature in the whole window.
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
    feature_ranges: FloatArray
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
        The members that are in; pooled ones are left to `with_pooled`.
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
            f"{examples.ticker} {examples.timeframe}: {_describe(error)}"
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

    Parameters
    ----------
    rows : HorizonExamples
        Of one series.
    feature_names : sequence of str
        For messages.
    roster : Roster, optional
        The members that are in; pooled ones are left to `with_pooled`.
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
    is_window = np.ones_like(is_fit)
    X_fit, X_validation = rows.X[is_fit], rows.X[is_validation]
    climatology = _fit_member(
        CLIMATOLOGY, rows, is_fit, climatology=rows.fit_climatology
    )
    window_climatology = _fit_member(
        CLIMATOLOGY, rows, is_window, climatology=rows.window_climatology
    )
    fit_P, validation_P = [], []
    members: dict[str, FittedMember] = {}
    failures: dict[str, str] = {}
    for name in roster.per_series:
        try:
            validated = _fit_member(
                name, rows, is_fit, climatology=rows.fit_climatology
            )
            on_fit = _probabilities(validated, X_fit)
            on_validation = _probabilities(validated, X_validation)
            members[name] = _fit_member(
                name, rows, is_window, climatology=rows.window_climatology
            )
        except Exception as error:
            if name == CLIMATOLOGY:
                raise
            failures[name] = _describe(error)
            on_fit = climatology.predict_proba(X_fit)
            on_validation = climatology.predict_proba(X_validation)
        fit_P.append(on_fit)
        validation_P.append(on_validation)
    return FittedHorizon(
        examples=_without_features(rows),
        members=members,
        validation=MemberPredictions(
            member_names=roster.per_series,
            prior_weights=tuple(
                roster.prior_weights[name] for name in roster.per_series
            ),
            probabilities=np.stack(validation_P, axis=1),
            y=rows.y[is_validation],
            climatology=climatology.climatology_,
            closed_at=rows.closed_at[is_validation],
            label_end_at=rows.label_end_at[is_validation],
        ),
        fit_probabilities=np.stack(fit_P, axis=1),
        fit_y=rows.y[is_fit],
        climatology=window_climatology.climatology_,
        feature_ranges=np.array([rows.X.min(axis=0), rows.X.max(axis=0)]),
        failures=failures,
        seconds=time.monotonic() - started,
    )


def with_pooled(
    fitted: FittedHorizon, roster: Roster, pooled: PooledPredictions
) -> FittedHorizon:
    """Put members and predictions into the order of the roster, pooled ones in.

    A pooled member that failed is left out with its reason. What one that
    learnt from few labels lacks of its prior weight goes to all in proportion.

    Parameters
    ----------
    fitted : FittedHorizon
        As `fit_horizon` returns it for the roster.
    roster : Roster
        The members that are in.
    pooled : mapping of str to PooledPrediction or str
        By pooled member of the roster: predictions, or why there are none.
    """
    own = fitted.validation
    fit_P, validation_P = [], []
    members: dict[str, FittedMember] = {}
    failures: dict[str, str] = {}
    prior_weights = roster.weights
    for place, name in enumerate(roster.names):
        if name not in pooled:
            position = own.member_names.index(name)
            fit_P.append(fitted.fit_probabilities[:, position])
            validation_P.append(own.probabilities[:, position])
            if name in fitted.members:
                members[name] = fitted.members[name]
            else:
                failures[name] = fitted.failures[name]
            continue
        prediction = pooled[name]
        if not isinstance(prediction, str):
            try:
                on_fit, on_validation = _divide_pooled(prediction, fitted)
            except Exception as error:
                prediction = _describe(error)
        if isinstance(prediction, str):
            failures[name] = f"over all series: {prediction}"
            on_fit = np.tile(own.climatology, (len(fitted.fit_y), 1))
            on_validation = np.tile(own.climatology, (len(own.y), 1))
        else:
            prior_weights[place] *= prediction.prior_share
            members[name] = PooledMember(
                prediction.pooled_member_id,
                prediction.sha256,
                fitted.climatology,
            )
        fit_P.append(on_fit)
        validation_P.append(on_validation)
    return replace(
        fitted,
        members=members,
        validation=replace(
            own,
            member_names=roster.names,
            probabilities=np.stack(validation_P, axis=1),
            prior_weights=tuple((prior_weights / prior_weights.sum()).tolist()),
        ),
        fit_probabilities=np.stack(fit_P, axis=1),
        failures=failures,
    )


def _divide_pooled(
    prediction: PooledPrediction, fitted: FittedHorizon
) -> tuple[FloatArray, FloatArray]:
    """Probabilities on `fit` and validation, moves divided by climatology's."""
    on_fit, on_validation = (
        _checked(
            divide_moves(
                prediction.P[fitted.examples.split_parts == part],
                fitted.validation.climatology,
            )
        )
        for part in (FIT, VALIDATION)
    )
    return on_fit, on_validation


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


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


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
