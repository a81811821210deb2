from __future__ import annotations

import io
import json
from importlib import metadata
from pathlib import Path

import pytest
from rich.console import Console

from kaggle_ray.pipeline.doctor import examine
from kaggle_ray.report.findings import Finding, findings_table
from kaggle_ray.testing.command_line import said


def found(subject: str, runs: str | Path = "runs") -> Finding:
    (finding,) = (each for each in examine(runs) if each.subject == subject)
    return finding


def test_what_is_installed_is_compared_with_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "optuna":
            raise metadata.PackageNotFoundError(name)
        return "2.1" if name == "torch" else real(name)

    assert found("packages").state == "ok"
    monkeypatch.setattr(metadata, "version", version)
    packages, search = found("packages"), found("extra search")
    assert (packages.state, packages.next_step) == ("wrong", "pip install 'kaggle-ray'")
    assert packages.text.startswith("torch 2.1 is installed, >=")
    assert (search.state, search.text) == ("missing", "optuna is not installed")
    assert search.next_step == "pip install 'kaggle-ray[search]'"
    assert found("extra ray").state == "ok"


def test_a_place_of_runs_that_cannot_be_written_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("runs", tmp_path / "runs").text.startswith(f"{tmp_path / 'runs'}: ")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert found("runs", tmp_path / "runs").state == "wrong"
    assert not (tmp_path / "runs").exists()


def test_a_cluster_that_does_not_answer_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert found("cluster").state == "missing"
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert found("cluster").state == "wrong"
    assert "nobody answers there" in found("cluster").text


def test_a_reporter_that_is_set_is_looked_at_and_its_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "reporter mail" not in {finding.subject for finding in examine("runs")}
    for name, value in {"TO": "me@example.org", "FROM": "x@example.org", "HOST": "h", "PASSWORD": "tiptop"}.items():
        monkeypatch.setenv(f"KAGGLE_RAY_MAIL_{name}", value)
    mail = found("reporter mail")
    assert (mail.state, mail.text) == ("ok", "set: from, host, password, to (not tried)")
    monkeypatch.setenv("KAGGLE_RAY_MAIL_PORT", "smtp")
    assert found("reporter mail").state == "wrong"
    assert "tiptop" not in str(examine("runs"))


def test_a_key_of_kaggle_is_found_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/bin/kaggle" if name == "kaggle" else None)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert found("Kaggle").state == "missing"
    (tmp_path / "kaggle.json").write_text('{"key": "secret"}')
    assert (found("Kaggle").state, "secret" in str(examine("runs"))) == ("ok", False)


def test_the_table_has_every_finding_and_its_next_step_at_80_columns() -> None:
    findings = [
        Finding(subject="GPU", state="missing", text="none: runs use the cores"),
        Finding(
            subject="extra search", state="missing", text="[optuna] is not installed " * 5, next_step="pip install x"
        ),
    ]
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(findings_table(findings))
    text = console.export_text()
    assert "[optuna] is not" in text
    assert "pip install x" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_command_exits_with_1_where_something_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    out, _, code = said(capsys, "doctor", "--json")
    assert code == 1
    assert {"subject": "cluster", "state": "wrong"}.items() <= {
        key: value for finding in json.loads(out) if finding["subject"] == "cluster" for key, value in finding.items()
    }.items()
