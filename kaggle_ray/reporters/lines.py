"""What there is to say of each event, a line or a few: in a pipe, a log, or above the live view."""

from __future__ import annotations

from rich.text import Text

from kaggle_ray.counted import counted
from kaggle_ray.progress import Progress
from kaggle_ray.reporters.events import (
    BaselineScored,
    DashboardServed,
    EnsembleChosen,
    EpochEnded,
    Event,
    PreparationProgressed,
    RefitEnded,
    RoundBegan,
    RunEnded,
    RunInterrupted,
    RunKilled,
    RunStalled,
    RunStarted,
    RunWarned,
    TrialEnded,
    TrialProgressed,
    TrialWarned,
)
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.reporters.texts import (
    duration_text,
    eta_text,
    known_score,
    loss_text,
    metric_text,
    one_line,
    score_with_error,
    slots_text,
    title_text,
)
from kaggle_ray.reporters.trial_sums import TrialProgress
from kaggle_ray.types import EpochMetrics, Location


def event_lines(event: Event, progress: RunProgress) -> list[Text]:
    """Return what there is to say of ``event``, which ``progress`` has taken in already; nothing for some.

    Of a run that failed nothing: whoever reads these lines is shown its error as well.
    """
    match event:
        case PreparationProgressed(progress=done):
            return [Text(f"{done.stage}{_of_total(done)}")]
        case RunStarted(weights=weights):
            return [_start_line(progress), *(_weights_line(name, sha256) for name, sha256 in weights.items())]
        case RoundBegan(number=number, experiments=experiments):
            return [Text(f"round {number + 1}: {', '.join(map(one_line, experiments.values()))}")]
        case RunWarned():
            return [Text(f"warning: {one_line(event.text)}", style="yellow")]
        case BaselineScored():
            score = f"{progress.metric} {known_score(event.score)}"
            return [Text(f"baseline (a constant)  {score}{_written(event.submission)}")]
        case DashboardServed(url=url):
            token = "  the token that it asks for: ray get-auth-token" if event.asks_for_token else ""
            return [Text(f"dashboard  {one_line(url)}{token}")]
        case EpochEnded(metrics=metrics):
            return [_epoch_line(progress.trials[event.trial], metrics, progress)]
        case TrialProgressed(trial=trial, progress=done):
            return [Text(f"{_counter(progress)} {title_text(trial, progress)}  {done.stage}{_of_total(done)}")]
        case TrialWarned(trial=trial, warning=warning):
            return [Text(f"warning: {title_text(trial, progress)}, {warning.text}", style="yellow")]
        case TrialEnded():
            return [_ended_line(progress.trials[event.trial], progress)]
        case EnsembleChosen():
            return [_ensemble_line(event, progress)]
        case RefitEnded(why_not=str()):
            return [Text(f"no refit: {event.why_not}", style="yellow")]
        case RefitEnded():
            counterpart = f"cross-validated, {progress.metric} {known_score(event.cross_validated_score)}"
            return [Text(f"refit on all rows  not measured; {counterpart}{_written(event.submission)}")]
        case RunInterrupted():
            safe = f"{event.num_committed} of {counted(event.num_trials, 'trial')} are safe."
            return [
                Text(f"stopped by {event.reason}: {safe}", style="yellow"),
                Text(f"  go on:                    {event.how_to_resume}"),
                Text(f"  ensemble what there is:   {event.how_to_ensemble}"),
            ]
        case RunStalled(silent_s=silent_s):
            return [Text(f"warning: nothing was heard of the run for {duration_text(silent_s)}", style="yellow")]
        case RunKilled(how_to_resume=command):
            return [Text(f"killed: go on by {command}", style="yellow")]
        case RunEnded():
            return _end_lines(event, progress)
    return []


def _start_line(progress: RunProgress) -> Text:
    before = f", {progress.num_ended_before} done before" if progress.num_ended_before else ""
    experiments, folds = counted(progress.num_experiments, "experiment"), counted(progress.num_folds, "fold")
    return Text(
        f"{progress.competition}  run {progress.run_id}"
        f"  {experiments} x {folds} = {counted(progress.num_trials, 'trial')}{before}"
        f"  {metric_text(progress)}  {slots_text(progress)}  {progress.run_dir}"
    )


def _weights_line(name: str, sha256: str | None) -> Text:
    digest = f"  sha256 {sha256[:12]}" if sha256 else ""
    return Text(f"pretrained weights  {one_line(name)}{digest}")


def _epoch_line(trial: TrialProgress, metrics: EpochMetrics, progress: RunProgress) -> Text:
    num_epochs = progress.num_epochs_of(trial.trial)
    return Text(
        f"{_counter(progress)} {title_text(trial.trial, progress)}  epoch {metrics.epoch}/{num_epochs}"
        f"  train {loss_text(metrics.train_loss)}  valid {loss_text(metrics.valid_loss)}"
        f"  {progress.metric} {known_score(metrics.score)}{eta_text(progress)}"
    )


def _ended_line(trial: TrialProgress, progress: RunProgress) -> Text:
    line = Text(f"{_counter(progress)} {title_text(trial.trial, progress)}  ")
    if trial.status == "failed":
        line.append("FAILED", style="bold red").append(f"  {one_line(trial.error or 'no reason given')}", style="red")
    elif trial.status == "pruned":
        line.append("pruned", style="yellow")
        line.append(f"  {counted(trial.epoch, 'epoch')}  {one_line(trial.reason or 'no reason given')}")
    else:
        if trial.status == "stopped":
            line.append("stopped early  ", style="yellow")
        line.append(f"{progress.metric} {known_score(trial.score)}  {counted(trial.epoch, 'epoch')}")
    return line.append(f"  {duration_text(trial.duration_s)}{eta_text(progress)}")


def _ensemble_line(event: EnsembleChosen, progress: RunProgress) -> Text:
    members = ", ".join(f"{name} {weight:.3f}" for name, weight in event.weights.items() if weight)
    scores = (
        f"{score_with_error(event.score_honest, event.standard_error)} (in-sample {known_score(event.score_in_sample)})"
    )
    if event.score_full_size is not None:
        scores += f"; at full size {known_score(event.score_full_size)}"
    return Text(f"ensemble {event.name}  {progress.metric} {scores}  {members}".rstrip())


def _end_lines(event: RunEnded, progress: RunProgress) -> list[Text]:
    """Return what was written, and last of all, where a person looks first, how the run ended."""
    written = (("submission", event.submission), ("report", event.report))
    lines = [Text(f"{name + ':':<12}{path}") for name, path in written if path is not None]
    lines += [] if event.note is None else [Text(event.note)]
    return [*lines, _ending(event, progress)]


def _ending(event: RunEnded, progress: RunProgress) -> Text:
    seconds, num_failed = duration_text(event.seconds), progress.num_ended("failed")
    if not num_failed:
        return Text(f"finished in {seconds}", style="green")
    failed = f"{num_failed} of {counted(progress.num_trials, 'trial')} failed"
    again = "the same command tries again what need not fail the same way"
    return Text(f"ended after {seconds}: {failed}; {again}", style="yellow")


def _of_total(done: Progress) -> str:
    return f": {done.num_done} of {done.num_total}" if done.num_total else ""


def _counter(progress: RunProgress) -> str:
    width = len(str(progress.num_trials))
    return f"[{progress.num_settled:>{width}}/{progress.num_trials}]"


def _written(submission: Location | None) -> str:
    return "" if submission is None else f"  {submission}"
