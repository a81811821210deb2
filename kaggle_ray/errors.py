"""Every error that a user can meet: each says what, where, expected and got, and the next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class KaggleRayError(Exception):
    """Base of all errors that the user can act upon; the command line prints them without a traceback.

    >>> from kaggle_ray import Hyperparameters, KaggleRayError
    >>> try:
    ...     Hyperparameters(epochs=0)
    ... except KaggleRayError as error:
    ...     print(error)
    hyperparameter 'epochs': expected at least 1, got 0.
    """


class ConfigError(KaggleRayError):
    """A hyperparameter, option or file of the user's is unknown, misspelt or out of range."""


class DataError(KaggleRayError):
    """The competition's files are missing, contradict each other or do not decode."""


class FoldsError(KaggleRayError):
    """A fold plan cannot be made, or is not the one that the run was started with."""


class StoreError(KaggleRayError):
    """The run folder cannot be read or written."""


class NoRoomError(StoreError):
    """The cache's budget or its disk is too small, even without everything that is unused."""


class SchemaVersionError(StoreError):
    """A file of the run folder was written by another version of the schema."""


class JsonShapeError(StoreError):
    """A JSON text has other fields or types than what reads it expects: it was changed by hand, or is not ours."""


class CorruptBlobError(StoreError):
    """A stored file is not the one that was committed."""


class UnusableCheckpointError(StoreError):
    """A trial cannot go on from its checkpoint: it has to begin anew."""


class WeightsGoneError(StoreError):
    """Weights are asked for that a complete run did not keep."""


class LeaseError(StoreError):
    """Another driver is at work on this run."""


class RunMismatchError(StoreError):
    """The run folder belongs to other experiments, folds or settings than the command's."""


class TrialError(KaggleRayError):
    """One trial cannot go on; the others do."""


class NonFiniteLossError(TrialError):
    """The training loss became NaN or infinite: the trial would fail the same way again."""


class OutOfMemoryError(TrialError):
    """A trial needs more memory than its GPU has."""


class ProcessDiedError(TrialError):
    """The processes of a trial died one after the other, before it got on by an epoch."""


class IncompleteFoldsError(KaggleRayError):
    """An experiment lacks the predictions of some folds."""


class LeakError(KaggleRayError):
    """A model predicted a row that it was trained on, or a row was predicted twice or never."""


class DeliveryError(KaggleRayError):
    """A service did not take all events of a run."""


class SubmissionError(KaggleRayError):
    """A submission differs from the sample submission in ids, columns, order or range."""


class NothingToSubmitError(KaggleRayError):
    """No experiment is complete, so there is nothing to ensemble."""


class ServiceError(KaggleRayError):
    """A service that runs are told to, or asked for, does not answer or refuses."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``". Did you mean 'x'?"`` for the nearest known name, else the list of known names."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f". Did you mean {near[0]!r}?" if near else f". Known: {', '.join(names)}."
