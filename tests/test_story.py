"""The whole story as a person types it, from a download to what the score means, with Kaggle's own command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from kaggle_ray.testing.command_line import said
from kaggle_ray.testing.kaggle_server import kaggle_server


def write_download(folder: Path) -> None:
    """Write a small dogs-vs-cats: names of the training images tell the label, and dogs are brighter."""
    rng = np.random.default_rng(0)
    rows = {"train": [f"{('cat', 'dog')[n % 2]}.{n // 2}" for n in range(60)], "test": [f"{n}" for n in range(1, 21)]}
    for part, names in rows.items():
        (folder / part).mkdir(parents=True)
        for number, name in enumerate(names):
            pixels = rng.integers(0, 160, (16, 16, 3)) + 60 * (number % 2)
            cv2.imwrite(str(folder / part / f"{name}.png"), pixels.astype(np.uint8))
    (folder / "sample_submission.csv").write_text("id,label\n" + "".join(f"{name},0.5\n" for name in rows["test"]))


@pytest.mark.slow
@pytest.mark.service
def test_from_a_download_to_what_its_score_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("kagglesdk", reason="the extra kaggle is not installed")
    write_download(Path("download"))

    out, err, code = said(capsys, "new", "small-dogs", "--data", "download")
    assert code == 1
    assert "of which is it the probability? Say it: --positive dog." in err
    out, err, code = said(capsys, "new", "small-dogs", "--data", "download", "--positive", "dog")
    assert code == 0, err
    assert "task: binary, 2 classes: cat, dog" in out
    assert "competitions/small_dogs.py: 60 images to train on, 20 to predict" in out

    options = ["--launcher", "local", "--set", "epochs=1", "--set", "image_size=16"]
    out, err, code = said(capsys, "run", "small_dogs", "--data", "download", "--device", "cpu", *options)
    assert code == 0, err
    (run,) = Path("runs/small_dogs").iterdir()

    with kaggle_server(tmp_path) as kaggle:
        for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "KAGGLE_USERNAME", "KAGGLE_KEY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in kaggle.environment().items():
            monkeypatch.setenv(name, value)
        kaggle.public_score, kaggle.num_pending = "0.65", 0
        for _ in range(2):  # and nothing is submitted twice
            out, err, code = said(capsys, "submit", str(run), "-m", "first")
            assert code == 0, err
            assert out.startswith("small-dogs: submission 1000: public score 0.65")
        assert len(kaggle.submissions) == 1
        (sent,) = kaggle.blobs.values()
        assert sent == next(run.glob("submissions/submission.csv")).read_bytes()

    out, err, code = said(capsys, "submissions")
    assert code == 0, err
    assert "0.65" in out
    out, err, code = said(capsys, "meaning", str(run), "--data", "download", "--public-share", "0.5")
    assert code == 0, err
    expected, verdict = out.splitlines()
    assert "expected public log_loss" in expected
    assert "the public score 0.65000 lies" in verdict
