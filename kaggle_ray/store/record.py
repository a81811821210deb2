"""run.json as types: what a run is, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated

from kaggle_ray.config.search import Search
from kaggle_ray.config.settings import Settings
from kaggle_ray.types import Experiment, JsonValue
from kaggle_ray.untrusted import Bound, NumFolds, PathPart

_MAX_EXPERIMENTS = 10_000
"""Each of whose trials is looked for, whenever the run is listed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeVersion:
    """The checkout that the package ran from; None where there was no git."""

    commit: str | None
    diff: str | None
    """What was not committed, as a patch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """The machine that the run was begun on."""

    processor: str
    num_cpus: int
    """Cores that the process was allowed to use."""
    memory_gib: float
    system: str
    """Name of the kernel and the processor's architecture."""
    gpus: tuple[str, ...] = ()
    """Names of its GPUs; empty where it has none, or the run is of before they were kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunIdentity:
    """What has to be the same whenever a run is resumed."""

    competition: PathPart
    experiments: Annotated[
        tuple[Experiment, ...],
        Bound(f"at most {_MAX_EXPERIMENTS:,} experiments", lambda of: len(of) <= _MAX_EXPERIMENTS),
    ]
    """Experiments in the order of the command."""
    folds_digest: str
    settings: Settings
    content: Mapping[str, JsonValue]
    """What the trials are computed from: part -> its digest, or the values that it consists of."""
    search: Search | None = None
    """What proposes further experiments, a round at a time; None where there are no others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffersFrom:
    """An earlier run that was asked for the same."""

    run_id: PathPart
    changed: tuple[str, ...]
    """What has changed since it was begun, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord(RunIdentity):
    """What run.json says: the run's identity, and where it came from."""

    run_id: PathPart
    classes: tuple[str, ...]
    """Classes of the first head."""
    classes_of_heads: Mapping[str, tuple[str, ...]]
    """Head -> its classes."""
    table_columns: tuple[str, ...] | None
    """Columns of the table; None where the competition has none."""
    metric: str
    greater_is_better: bool
    num_folds: NumFolds
    competition_file: str
    """Where the competition was declared, on the machine that the run was begun on."""
    data: str
    """The folder or URI that the user named."""
    fast_dev: bool
    command: str
    code: CodeVersion
    python: str
    packages: Mapping[str, str]
    """Name -> version, of those that decide what a run computes."""
    hardware: Hardware
    differs_from: DiffersFrom | None = None
    """Why the command did not go on with an earlier run; None where there is none."""
    folds_csv_sha256: str | None = None
    """Digest of folds.csv; None of a run that was begun before it was kept."""

    fold_scheme: Mapping[str, JsonValue] | None = None
    """How its rows were dealt to folds, as ``FoldScheme`` has it; None of a run that was begun before it was kept."""

    @property
    def identity(self) -> RunIdentity:
        """What has to be the same whenever the run is resumed."""
        return RunIdentity(**{field.name: getattr(self, field.name) for field in fields(RunIdentity)})
