"""Runs of Weights & Biases: one for each trial, grouped by experiment, with its curves and hyperparameters.

Its client keeps what it is told in memory for a while, and a run's steps only rise. So a process that goes on with a
trial tells all of its epochs once more: of those that W&B has, it keeps the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kaggle_ray.errors import ConfigError, ServiceError, suggest
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EnsembleChosen, EpochEnded, SamplesDrawn, TrialEnded, TrialStarted
from kaggle_ray.reporters.pictures import SamplePicture, picture_files, pictures_of
from kaggle_ray.reporters.sink import MakeSink, ReadArtifact, Sink
from kaggle_ray.reporters.told_run import ToldRun, is_measured
from kaggle_ray.types import short_digest

_SETTINGS = ("project", "entity", "mode", "folder", "base_url", "api_key")
_MODES = ("online", "offline")
_FINISH_WITHIN_S = 30.0


@dataclass(kw_only=True, slots=True)
class _Log:
    """What is to be told of one trial, and W&B's run as far as this process has begun it."""

    epochs: dict[int, Mapping[str, float]] = field(default_factory=dict)
    run: Any = None
    num_logged: int = 0
    """The last epoch that ``run`` was told."""


class WandbSink:
    """Writes to the server of Weights & Biases, or offline to files that ``wandb sync`` uploads."""

    name = "wandb"

    def __init__(self, settings: Mapping[str, str], read_artifact: ReadArtifact) -> None:
        """Take the settings that ``make_sink`` has checked; nothing is reached for yet."""
        self._settings, self._read_artifact = settings, read_artifact
        self._told = ToldRun()
        self._logs: dict[str, _Log] = {}

    def recall(self, envelopes: Sequence[Envelope]) -> None:
        """Take note of the experiments, and of the trials that are under way; W&B has what has ended."""
        for envelope in envelopes:
            self._note(envelope)
            if isinstance(envelope.event, TrialEnded):
                del self._logs[_key_of(envelope)]

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Tell what the events say. Raises what W&B's client raises."""
        for envelope in envelopes:
            self._note(envelope)
            match envelope.event:
                case TrialStarted() | EpochEnded():
                    self._tell(envelope)
                case TrialEnded(status=status, score=score):
                    self._tell(envelope, {"final/score": score} if is_measured(score) else {})
                    self._finish(envelope, is_well=status != "failed")
                case EnsembleChosen(score_honest=score) if is_measured(score):
                    self._tell(envelope, {f"{self._told.score}, ensemble": score})
                    self._finish(envelope, is_well=True)
                case SamplesDrawn():
                    self._show(envelope, pictures_of(envelope.event, self._read_artifact))

    def close(self) -> None:
        """Have what was told on the server, or on the disk."""
        for log in self._logs.values():
            if log.run is not None:
                log.run.finish()

    def _note(self, envelope: Envelope) -> None:
        self._told.know(envelope)
        if isinstance(envelope.event, TrialStarted | EpochEnded | TrialEnded | EnsembleChosen):
            log = self._logs.setdefault(_key_of(envelope), _Log())
            if isinstance(envelope.event, EpochEnded):
                log.epochs.setdefault(envelope.epoch, self._told.scalars_of(envelope.event.metrics))

    def _tell(self, envelope: Envelope, summary: Mapping[str, float] | None = None) -> None:
        log = self._logs[_key_of(envelope)]
        try:
            if log.run is None:
                log.run, log.num_logged = self._begun(envelope), 0
            for epoch in sorted(epoch for epoch in log.epochs if epoch > log.num_logged):
                log.run.log(dict(log.epochs[epoch]), step=epoch, commit=True)
                log.num_logged = epoch
            log.run.summary.update(dict(summary or {}))
        except Exception:
            run, log.run = log.run, None  # nobody knows what it has taken
            if run is not None:
                with suppress(Exception):  # what was raised first is told
                    run.finish(exit_code=1)
            raise

    def _show(self, envelope: Envelope, pictures: Sequence[SamplePicture]) -> None:
        """Tell pictures in a run of their own: the trial's has ended, and W&B goes on with none that is offline."""
        import wandb

        if not pictures:
            return
        with picture_files(pictures) as files, self._begun(envelope) as run:
            run.log({f"samples/{each.name}": wandb.Image(str(file), caption=each.title) for each, file in files})

    def _finish(self, envelope: Envelope, *, is_well: bool) -> None:
        log = self._logs[_key_of(envelope)]
        run, log.run = log.run, None
        run.finish(exit_code=0 if is_well else 1)
        del self._logs[_key_of(envelope)]

    def _begun(self, envelope: Envelope) -> Any:
        import wandb

        given, trial = self._settings, envelope.trial
        if (
            given["mode"] == "online"
            and "api_key" not in given
            and not wandb.login(host=given.get("base_url"), prompt=False)
        ):
            raise ServiceError(
                "wandb: no key. Set KAGGLE_RAY_WANDB_API_KEY, or run wandb login; or set its mode to offline."
            )
        shows = isinstance(envelope.event, SamplesDrawn)
        experiment = "ensemble" if trial is None else self._told.name_of(trial.experiment_id) or trial.experiment_id
        return wandb.init(
            project=given.get("project", envelope.competition),
            entity=given.get("entity"),
            id=short_digest(_key_of(envelope)),
            name=" ".join([experiment, *([trial.rows] if trial else []), *(["samples"] if shows else [])]),
            job_type="samples" if shows else None,
            group=None if trial is None else experiment,
            config={
                **({} if trial is None else self._told.hyperparameters_of(trial)),
                "competition": envelope.competition,
                "run": envelope.run_id,
                "user": envelope.user,
            },
            mode="offline" if given["mode"] == "offline" else "online",
            dir=given["folder"],
            resume="allow",
            reinit="create_new",  # trials run at the same time
            settings=_quiet(given),
        )


def make_sink(settings: Mapping[str, str], read_artifact: ReadArtifact) -> WandbSink:
    """Return the sink of settings.

    They are ``project`` (by default the competition), ``entity``, ``mode`` (``online`` or ``offline``), ``folder`` of
    its files (by default the present one), ``base_url`` of a server, and the secret ``api_key``.

    Raises:
        ConfigError: a setting is unknown, or there is no such mode.
    """
    for given in settings:
        if given not in _SETTINGS:
            raise ConfigError(f"wandb: unknown setting {given!r}{suggest(given, _SETTINGS)}")
    chosen = {"mode": "online", "folder": ".", **settings}
    if chosen["mode"] not in _MODES:
        raise ConfigError(f"wandb: mode: there is no {chosen['mode']!r}{suggest(chosen['mode'], _MODES)}")
    return WandbSink(chosen, read_artifact)


_WANDB_IS_A_SINK: type[Sink] = WandbSink
_MAKES_A_SINK: MakeSink = make_sink


def _quiet(given: Mapping[str, str]) -> Any:
    """Return settings by which W&B takes nothing but what it is told: no output, no code, nothing of the machine."""
    import wandb

    Path(given["folder"]).mkdir(parents=True, exist_ok=True)
    return wandb.Settings(
        api_key=given.get("api_key"),
        **({"base_url": given["base_url"]} if "base_url" in given else {}),
        console="off",
        silent=True,
        save_code=False,
        disable_git=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
        x_transaction_log_flush_interval=1.0,
        finish_timeout=_FINISH_WITHIN_S,
        finish_timeout_raises=True,
    )


def _key_of(envelope: Envelope) -> str:
    """Return what tells apart the runs of a project."""
    key = f"{envelope.user}/{envelope.competition}/{envelope.run_id}/{envelope.trial or 'ensemble'}"
    return f"{key}/samples" if isinstance(envelope.event, SamplesDrawn) else key
