"""Reads a run's folder into what the board and the report show; works on a run that is still going on, too."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, pstdev

import numpy as np

from kaggle_ray.combine.saved import SavedEnsemble, chosen_ensemble, saved_ensembles
from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.counted import counted
from kaggle_ray.data.duplicate_groups import NearDuplicates
from kaggle_ray.errors import JsonShapeError
from kaggle_ray.report.analysis import analysis_of
from kaggle_ray.report.board import BestExperiment, Board, BoardRow
from kaggle_ray.report.html import ReportData, render_report
from kaggle_ray.report.kaggle_scores import kaggle_scores_of
from kaggle_ray.report.view_gains import view_gains
from kaggle_ray.reporters.texts import score_text, size_text
from kaggle_ray.schedule.rounds import rounds_from_json, stopped_in
from kaggle_ray.store.labels import Label
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.saved import BASELINE, REFIT, saved_submission
from kaggle_ray.types import Experiment, IntArray, Location, ModelSize, Trial, TrialResult


def board_of(store: RunStore) -> Board:
    """Return the run's leaderboard.

    Raises:
        StoreError: the folder is no run.
    """
    record = store.known_record()
    chosen = chosen_ensemble(store)
    rows = list(experiment_rows(store).values())
    rows += [] if chosen is None else _member_rows(chosen)
    rows += [
        BoardRow(
            name=f"ensemble ({ensemble.name})",
            kind="ensemble",
            score=ensemble.score_honest,
            standard_error=ensemble.standard_error,
            in_sample=ensemble.score_in_sample,
            is_submitted=ensemble.chosen,
            error=ensemble.why_no_score,
        )
        for ensemble in saved_ensembles(store)
    ]
    if (baseline := saved_submission(store, BASELINE)) is not None:
        rows.append(BoardRow(name="baseline (constant)", kind="baseline", score=baseline.score_honest))
    return Board(
        metric=record.metric,
        greater_is_better=record.greater_is_better,
        rows=tuple(rows),
        best_experiment=None if chosen is None else _by_own_name(chosen.best_experiment, store),
    )


def _by_own_name(best: BestExperiment | None, store: RunStore) -> BestExperiment | None:
    """Return the best experiment by the name that it has now: it was saved by the one that the run gave it."""
    own = {
        given.name: each.name for given, each in zip(store.unlabelled_experiments(), store.experiments(), strict=True)
    }
    return None if best is None else dataclasses.replace(best, name=own.get(best.name, best.name))


def experiment_rows(store: RunStore) -> dict[str, BoardRow]:
    """Return experiment id -> its line of the leaderboard, in the run's order.

    Raises:
        StoreError: the folder is no run.
    """
    record = store.known_record()
    chosen = chosen_ensemble(store)
    ended = _ended(store, record)
    stopped = stopped_in(rounds_from_json(store.rounds()))
    labels = store.labels()
    return {
        each.experiment_id: dataclasses.replace(
            _experiment_row(ended, stopped, each, record, chosen), notes=labels.get(each.experiment_id, Label()).notes
        )
        for each in store.experiments()
    }


def save_report_of(store: RunStore) -> Location:
    """Write the run's report, anew where there is one; return where it is.

    Raises:
        StoreError: the folder is no run, or cannot be written.
    """
    return store.save_report(render_report(report_of(store)))


def report_of(store: RunStore) -> ReportData:
    """Return what the run's report shows.

    Raises:
        StoreError: the folder is no run.
    """
    record = store.known_record()
    board = board_of(store)
    experiments = store.experiments()
    chosen = chosen_ensemble(store)
    ended = _ended(store, record)
    results = {experiment.name: _results(ended, experiment, record.num_folds) for experiment in experiments}
    return ReportData(
        competition=record.competition,
        run_id=record.run_id,
        command=record.command,
        metric_name=record.metric,
        greater_is_better=record.greater_is_better,
        board=board,
        histories={
            name: [result.history if result else () for result in of_folds] for name, of_folds in results.items()
        },
        fold_scores={
            name: [result.score if result else None for result in of_folds] for name, of_folds in results.items()
        },
        confusion=_confusion(store, chosen, record),
        class_names=record.classes,
        experiments={experiment.name: experiment.hyperparameters for experiment in experiments},
        views={
            name: gains
            for name, of_folds in results.items()
            if (gains := view_gains(of_folds, greater_is_better=record.greater_is_better))
        },
        networks={name: size_text(size) for name, of_folds in results.items() if (size := _size_of(of_folds))},
        facts={**_facts(record, _gpus(record, ended)), **_near_duplicates(store), **_refit(store), **_left_out(chosen)},
        kaggle_scores=kaggle_scores_of(store),
        failures={row.name: row.error or "not complete" for row in board.rows if row.score is None},
        analysis=analysis_of(store),
    )


def _confusion(store: RunStore, chosen: SavedEnsemble | None, record: RunRecord) -> IntArray | None:
    """Return (C, C) counts, None where there are none. Raise JsonShapeError where they are of other classes."""
    if chosen is None or not chosen.confusion:
        return None
    num_classes = len(record.classes)
    if {len(chosen.confusion), *map(len, chosen.confusion)} != {num_classes}:
        raise JsonShapeError(f"{store.location}: expected a confusion matrix of {counted(num_classes, 'class')}.")
    return np.array(chosen.confusion, dtype=np.int64)


def _ended(store: RunStore, record: RunRecord) -> dict[Trial, TrialResult]:
    """Return the results of the run's trials that are over."""
    ids, folds = [experiment.experiment_id for experiment in store.experiments()], range(record.num_folds)
    return store.results(Trial(experiment_id=each, fold=fold) for each in ids for fold in folds)


def _results(ended: Mapping[Trial, TrialResult], experiment: Experiment, num_folds: int) -> list[TrialResult | None]:
    """Return each fold's result, None where it has not ended."""
    return [ended.get(Trial(experiment_id=experiment.experiment_id, fold=fold)) for fold in range(num_folds)]


def _experiment_row(
    ended_trials: Mapping[Trial, TrialResult],
    stopped: Mapping[str, str],
    experiment: Experiment,
    record: RunRecord,
    chosen: SavedEnsemble | None,
) -> BoardRow:
    ended = [result for result in _results(ended_trials, experiment, record.num_folds) if result is not None]
    committed = [result for result in ended if result.status == "committed"]
    unproven = _why_unproven(experiment)
    fold_scores = [result.score for result in committed if result.score is not None and unproven is None]
    scores = {} if chosen is None else chosen.scores
    size = _size_of(committed)
    is_member = chosen is not None and any(m.member_id == experiment.experiment_id for m in chosen.members)
    return BoardRow(
        name=experiment.name,
        kind="experiment",
        score=scores.get(experiment.experiment_id),
        score_std=pstdev(fold_scores) if len(fold_scores) > 1 else None,
        mean_so_far=fmean(fold_scores) if fold_scores and len(committed) < record.num_folds else None,
        weight=chosen.weights.get(experiment.experiment_id, 0.0) if chosen and is_member else None,
        folds_done=len(committed),
        num_folds=record.num_folds,
        epochs=parse_hyperparameters(experiment.hyperparameters, where=experiment.name).training.epochs,
        duration_s=sum(result.duration_s for result in ended),
        error=stopped.get(experiment.experiment_id)
        or next((why for result in ended if (why := result.error or result.reason)), None)
        or unproven
        or _why_unscored(experiment, chosen),
        metrics=_mean_metrics(committed),
        num_parameters=None if size is None else size.num_parameters,
        num_layers=None if size is None else size.num_layers,
        flops=None if size is None else size.flops,
    )


def _size_of(results: Sequence[TrialResult | None]) -> ModelSize | None:
    """Return how large the network is whose trials' results are given; None where none tells it."""
    return next((result.model_size for result in results if result is not None and result.model_size is not None), None)


def _mean_metrics(committed: Sequence[TrialResult]) -> dict[str, float]:
    """Return the means over the folds of what is measured beside the metric that decides, where all folds have it."""
    of_folds = [epoch.metrics for result in committed for epoch in result.history if epoch.epoch == result.epoch]
    shared = [name for name in of_folds[0] if all(name in fold for fold in of_folds)] if of_folds else []
    return {name: fmean(fold[name] for fold in of_folds) for name in shared}


def _member_rows(chosen: SavedEnsemble) -> list[BoardRow]:
    """Return the members of the chosen ensemble that are more than an experiment: snapshots, means over seeds."""
    return [
        BoardRow(
            name=member.name,
            kind="member",
            score=chosen.scores.get(member.member_id),
            weight=chosen.weights.get(member.member_id, 0.0),
        )
        for member in chosen.members
        if len(member.parts) > 1 or "@" in member.member_id
    ]


def _why_unproven(experiment: Experiment) -> str | None:
    why = parse_hyperparameters(experiment.hyperparameters, where=experiment.name).why_unproven
    return None if why is None else f"no honest score: {why}"


def _why_unscored(experiment: Experiment, chosen: SavedEnsemble | None) -> str | None:
    if chosen is None or not chosen.left_out or chosen.scores.get(experiment.experiment_id, 0.0) is not None:
        return None
    return "no score of its own: ensembling had no time for it"


def _near_duplicates(store: RunStore) -> dict[str, str]:
    """Return what the run found of near-duplicates, if anything."""
    summary = NearDuplicates.from_json(store.near_duplicates()).summary()
    return {"Near-duplicates": summary} if summary else {}


def _refit(store: RunStore) -> dict[str, str]:
    """Return that there is a submission of models of all rows, if there is one."""
    made_of = saved_submission(store, REFIT)
    if made_of is None:
        return {}
    score = made_of.cross_validated_score
    its_score = "has no honest score" if score is None else f"has {score_text(score)}"
    return {
        "Refit on all rows": f"submissions/{REFIT}.csv. It is not measured on any row; the cross-validated ensemble "
        f"({made_of.method}) with the same weights {its_score}."
    }


def _left_out(chosen: SavedEnsemble | None) -> dict[str, str]:
    """Return what ensembling had no time for within the run's limit, if there is such."""
    if chosen is None or not chosen.left_out:
        return {}
    return {"Left out of ensembling": "; ".join(f"{what}: {why}" for what, why in chosen.left_out.items())}


def _gpus(record: RunRecord, ended: Mapping[Trial, TrialResult]) -> Sequence[str]:
    """Return the names of the GPUs that trials computed on; before one has ended, those of the run's own machine."""
    return sorted({result.gpu for result in ended.values() if result.gpu is not None}) or record.hardware.gpus


def _facts(record: RunRecord, gpus: Sequence[str]) -> dict[str, str]:
    hardware, settings, code = record.hardware, asdict(record.settings), record.code
    return {
        "Processor": f"{hardware.processor}, {counted(hardware.num_cpus, 'core')}, {hardware.memory_gib} GiB",
        **({"GPU": ", ".join(gpus)} if gpus else {}),
        "Settings": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items()),
        "Packages": ", ".join(f"{name} {version}" for name, version in record.packages.items()),
        "Python": record.python,
        "Code": f"{(code.commit or 'unknown')[:12]}{' with local changes' if code.diff else ''}",
        "Data": record.data,
    }
