"""What a package of a run has in it, and what its command says of it."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.errors import ConfigError, CorruptBlobError, StoreError, WeightsGoneError
from kaggle_ray.packing.pack import pack
from kaggle_ray.packing.wheels import needed, read_installed
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import Trial


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> RunResult:
    folder = tmp_path_factory.mktemp("packed_run")
    shutil.copy(TOY_FILE, folder / "own.py")
    (folder / "beside.py").write_text("NAME = 'toy'\n")
    (folder / "own.py").write_text((folder / "own.py").read_text() + "\nimport beside\n\nassert beside.NAME == 'toy'\n")
    sys.path.append(str(folder))
    try:
        return kaggle_ray.run(
            folder / "own.py", experiments=[{**TINY, "epochs": 1}], data=toy_data, runs=folder / "runs",
            launcher="local", reporters=[], device="cpu",
        )  # fmt: skip
    finally:
        sys.path.remove(str(folder))


def test_the_command_says_what_it_packed_what_is_lacking_and_how_long_the_rows_take(
    finished: RunResult,
    toy_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")  # there is no pip: wheels are named
    monkeypatch.setattr("kaggle_ray.packing.wheels.find_spec", lambda name: None)
    packed = tmp_path / "packed"
    run = shutil.copytree(finished.run_dir, tmp_path / "toy" / "run")
    own = finished.plan.competition_file
    monkeypatch.syspath_prepend(own.parent)
    main(["package", str(run), str(packed), "--data", str(toy_data), "--competition", str(own), "--test-rows", "3600"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 models, ")
    assert "neither pip nor uv here" in lines[1]
    assert "albumentations==" in lines[1]
    assert lines[2].startswith("3,600 rows take ")
    assert lines[2].endswith("which fits into 9 h")


def test_what_is_packed_is_the_script_its_notebook_and_no_uncommitted_code(
    finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(finished.plan.competition_file.parent)
    packed = pack(finished.run_dir, tmp_path / "toy-weights", competition=finished.plan.competition_file,
                  installed=installed(tmp_path, "albumentations==2.9"))  # fmt: skip
    assert packed.timing is None
    assert (tmp_path / "toy-weights/competition/beside.py").read_text() == "NAME = 'toy'\n"
    script = (tmp_path / "toy-weights/inference.py").read_text()
    notebook = json.loads((tmp_path / "toy-weights/inference.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert "".join(f"# %%\n{cell.strip()}\n\n" for cell in cells).strip() == script.strip()
    assert 'PACKAGE", "/kaggle/input/toy-weights"' in script
    record = json.loads(next((tmp_path / "toy-weights/run").rglob("run.json")).read_text())
    assert record["code"]["diff"] is None
    (wheel,) = (tmp_path / "toy-weights/wheels").glob("kaggle_ray-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    assert {"kaggle_ray/report/page.css", "kaggle_ray/py.typed"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]
    with pytest.raises(ConfigError, match="is not empty"):
        pack(finished.run_dir, tmp_path / "toy-weights", competition=finished.plan.competition_file)


def test_graphs_of_a_package_predict_as_its_models_do(
    finished: RunResult, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    own, packed = finished.plan.competition_file, tmp_path / "packed"
    monkeypatch.syspath_prepend(own.parent)
    monkeypatch.setattr("kaggle_ray.packing.wheels.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    main(["package", str(finished.run_dir), str(packed), "--competition", str(own), "--data", str(toy_data), "--onnx"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("ONNX graphs of 2 of 2 models: their logits differ from torch's by at most ")
    assert any(line.startswith("by the graphs a row takes ") for line in lines)
    assert "onnxruntime" in (packed / "requirements.txt").read_text()
    assert 'onnx=True and device == "cpu"' in (packed / "inference.py").read_text()
    (run,) = (packed / "run" / "toy").iterdir()
    predicted = kaggle_ray.predict(run, data=toy_data, competition=own, out=tmp_path / "by_graphs.csv", onnx=True)
    ours, torchs = (pd.read_csv(file, index_col="id") for file in (predicted, finished.submission))
    pd.testing.assert_frame_equal(ours, torchs, atol=1e-4, rtol=0)

    graph = next(run.rglob("*.onnx"))
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(CorruptBlobError, match=r"\.onnx: expected sha256"):
        kaggle_ray.predict(run, data=toy_data, competition=own, out=tmp_path / "damaged.csv", onnx=True)
    with pytest.raises(StoreError, match=r"has no ONNX graphs.*--onnx"):
        kaggle_ray.predict(finished.run_dir, data=toy_data, competition=own, out=tmp_path / "none.csv", onnx=True)


def installed(folder: Path, *lines: str) -> Path:
    file = folder / "installed.txt"
    names = [f"{line.partition('==')[0]}==99.0" for line in needed((), {}).lacking]
    file.write_text("\n".join([*names, *lines, "own @ file:///own"]))
    return file


def test_what_a_notebook_lacks_is_what_it_has_not_or_has_in_a_version_that_will_not_do(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_text("numpy==2.1.0\nalbumentations==1.3.1\ntorch @ file:///torch.whl\n")
    found = needed(["timm"], read_installed(file))
    lacking = {line.partition("==")[0] for line in found.lacking}
    assert {"albumentations", "timm", "pandas"} <= lacking
    assert not {"numpy", "torch"} & lacking
    assert "albumentations>=2.0.8" in found.requirements
    file.write_text("nothing of the kind")
    with pytest.raises(ConfigError, match=r"x\.txt: expected what pip freeze prints"):
        read_installed(file)
    with pytest.raises(ConfigError, match=r"absent\.txt: cannot be read"):
        read_installed(tmp_path / "absent.txt")


def test_weights_that_are_gone_are_named_with_what_to_do(finished: RunResult, tmp_path: Path) -> None:
    lacking = shutil.copytree(finished.run_dir, tmp_path / "toy" / "lacking")
    store = open_run(lacking)
    result = store.result(Trial(experiment_id=finished.plan.experiments[0].experiment_id, fold=1))
    assert result is not None
    store.remove_weights(result, keep=())
    with pytest.raises(WeightsGoneError, match=r"fold1.*the weights are gone.*the trial is repeated"):
        pack(lacking, tmp_path / "packed", competition=finished.plan.competition_file)
