"""Several nodes, here on one machine: each has a cache of its own, and they share a bucket, as those of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from kaggle_ray.cache.entries import list_entries
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.ray_cluster import toy_cluster
from kaggle_ray.testing.s3 import s3_served
from kaggle_ray.testing.toy import NUM_TEST, NUM_TRAIN, TINY, TOY_FILE

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.service]

NUM_TRIALS = 3 * 2
NUM_EPOCHS = 40
"""So many that neither node has done all the work before the other's process is there."""


BUCKET = "runs"


@pytest.fixture
def bucket() -> Iterator[str]:
    """The place of runs in a bucket, which the nodes reach: those that are started after it."""
    pytest.importorskip("boto3")
    with s3_served(BUCKET):
        yield f"s3://{BUCKET}/below"


@pytest.fixture
def caches(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    """A head without cores, where the driver is, and two nodes of one core; the caches that they take for theirs.

    The first node has a KAGGLE_RAY_CACHE of its own, the second and the driver have the default of their users.
    """
    homes = {name: tmp_path / name for name in ("driver", "one", "two")}
    monkeypatch.delenv("KAGGLE_RAY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(homes["driver"]))
    with toy_cluster(num_nodes=0) as cluster:
        cluster.add_node({"KAGGLE_RAY_CACHE": str(homes["one"])})
        cluster.add_node({"XDG_CACHE_HOME": str(homes["two"])})
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        yield {"driver": homes["driver"] / "kaggle_ray", "one": homes["one"], "two": homes["two"] / "kaggle_ray"}


def run_on_cluster(data: str, runs: str | Path, run_id: str) -> RunResult:
    experiments = [{**TINY, "epochs": NUM_EPOCHS, "lr": lr} for lr in (1e-2, 3e-3, 1e-3)]
    return execute(
        RunOptions(
            competition=TOY_FILE, experiments=experiments, data=data, runs=runs, run_id=run_id,
            device="cpu", threads=1, dtype="float32", num_slots=2,
        )
    )  # fmt: skip


def last_use(cache: Path) -> datetime:
    return max(entry.last_used for entry in list_entries(cache))


def copies(cache: Path) -> dict[str, int]:
    """Return the inodes of the staged files: a file that is copied again has another one."""
    return {file.name: file.stat().st_ino for file in cache.glob("data/*/files/**/*") if file.is_file()}


def test_a_cluster_finds_its_data_on_every_node_staged_and_decoded_once_per_node_and_keeps_its_run_in_a_bucket(
    caches: dict[str, Path], bucket: str, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_on_cluster(toy_data.as_uri(), tmp_path / "runs", "first")
    assert first.ensemble is not None
    assert first.num_epochs_trained == NUM_TRIALS * NUM_EPOCHS
    for name, cache in caches.items():
        kinds = sorted(entry.description.content for entry in list_entries(cache))
        assert kinds == ["files", "image", "image"], f"{name} has one copy, and the images of train and test"
        assert all(entry.is_whole for entry in list_entries(cache))
    assert first.decoded_images == len(caches) * (NUM_TRAIN + NUM_TEST)

    # What the user names holds where a node has no folder of its own.
    before = {name: copies(cache) for name, cache in caches.items()}
    assert len(before["one"]) == sum(file.is_file() for file in toy_data.rglob("*"))
    given = tmp_path / "given"
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(given))
    last_used = last_use(caches["two"])
    again = run_on_cluster(toy_data.as_uri(), bucket, "again")
    assert again.location == f"{bucket}/toy/again"
    assert len(open_run(again.location).blobs.list("submissions/")) >= 2
    assert again.submission.read_bytes() == first.submission.read_bytes()
    assert again.decoded_images == NUM_TRAIN + NUM_TEST, "once, for the driver and the second node"
    assert len(copies(given)) == len(before["one"])
    assert last_use(caches["two"]) == last_used
    assert {name: copies(cache) for name, cache in caches.items()} == before, "what is there is not copied again"
