from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.cli import main


def test_a_run_is_pushed_pulled_and_listed(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAGGLE_RAY_USER", "ann")
    main(["push", str(finished), "place"])
    assert capsys.readouterr().out.startswith(f"ann/toy/{finished.name}: ")
    main(["push", str(finished), "place"])
    assert "; 0 new contents, 0 bytes sent." in capsys.readouterr().out
    main(["pull", "place", "--user", "ann"])
    assert capsys.readouterr().out.startswith(f"shared/ann/toy/{finished.name}: ")
    main(["list", "--runs", "shared/ann"])
    assert finished.name[:8] in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["pull", "place", "--user", "bob"])
    assert "place: there is no shared run of bob." in capsys.readouterr().err
