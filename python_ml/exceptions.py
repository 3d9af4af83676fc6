"""Every error this package raises on purpose.

Callers catch `SwiftBoltError`; the command line turns it into one line on
stderr and exit status 1. Each class also derives from the built-in that says
what kind of mistake it was, so `except ValueError` keeps working. A message
says what was asked, what was found and the command that mends it.
"""

from typing import Any


class SwiftBoltError(Exception):
    """Base class of this package's errors."""


class SettingsError(SwiftBoltError, ValueError):
    """A setting or an environment variable cannot be used as it is."""


class ServerError(SwiftBoltError, ConnectionError):
    """The database server cannot be started, reached or logged in to."""


class SchemaError(SwiftBoltError, RuntimeError):
    """The warehouse lacks a schema, table, column or row that is needed."""


class JobRunningError(SwiftBoltError, RuntimeError):
    """Another run of the same job holds its lock."""


class UnknownSeriesError(SwiftBoltError, LookupError):
    """A symbol, timeframe or horizon that the warehouse does not hold."""


class UnknownVersionError(SwiftBoltError, LookupError):
    """An ensemble version that is not on record, or not one to compare."""


class IngestionError(SwiftBoltError, ValueError):
    """A source that cannot be read, or of which nothing can be stored."""


class NoBarsError(IngestionError):
    """A source that has no bars of what it was asked for."""


class SourceUnavailableError(SwiftBoltError, ConnectionError):
    """A vendor's service that refuses, fails or cannot be reached."""


class SubscriptionError(SourceUnavailableError):
    """A vendor's service that wants a larger subscription for what is asked."""


class PartlyRefusedError(IngestionError):
    """Parts of a load were refused; what was stored of others is in `summary`.

    Parameters
    ----------
    message : str
    summary : IngestSummary
    """

    def __init__(self, message: str, summary: Any) -> None:
        super().__init__(message)
        self.summary = summary


class SeriesRefusedError(PartlyRefusedError):
    """Series whose times fit no bars, beside others that were loaded."""


class FilesRefusedError(PartlyRefusedError):
    """Files that could not be read, beside others that were loaded."""


class BuildError(SwiftBoltError, RuntimeError):
    """A dbt build did not succeed."""


class ValidationFailedError(SwiftBoltError, ValueError):
    """Data failed an expectation, or an expectation could not be judged."""


class NotEnoughDataError(SwiftBoltError, ValueError):
    """Fewer rows, classes or bars than the request needs."""


class LeakageError(SwiftBoltError, ValueError):
    """Rows that were not known, or not settled, when they would be used."""


class ProbabilityError(SwiftBoltError, ValueError):
    """Probabilities or weights that are missing, impossible or misshapen."""


class WorkerError(SwiftBoltError, RuntimeError):
    """A process that shared the work was killed."""


class ExhaustedError(SwiftBoltError, OSError):
    """The machine has run out of disk, memory or something else."""


class TrainingError(SwiftBoltError, RuntimeError):
    """No series of a training run could be fitted."""


class FeatureMismatchError(SwiftBoltError, ValueError):
    """Features differ from those that the ensemble was trained on."""


class ArtifactError(SwiftBoltError, ValueError):
    """A stored artifact is missing, altered or outside its folder."""


class NoEnsembleError(SwiftBoltError, LookupError):
    """No trained ensemble is deployed for the series at that time."""


class DeploymentError(SwiftBoltError, RuntimeError):
    """A version cannot be made live, or none is left to go back to."""


class AlertChannelError(SwiftBoltError, ConnectionError):
    """A channel that did not take a message; its text holds no address."""


class UnknownAlertError(SwiftBoltError, LookupError):
    """An alert that is not on record, or is over already."""


class BackupError(SwiftBoltError, RuntimeError):
    """A backup that cannot be written, read or put back."""
