"""The units of cluster/systemd/, as systemd itself reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).resolve().parents[2] / "cluster" / "systemd").glob("*.service"))
INSTALLED = "/opt/kaggle_ray/.venv/bin"

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def complaints(unit: str, name: str, folder: Path) -> str:
    """Return what systemd says against a unit whose commands are installed; it exits with 0 for unknown keys, too."""
    for command in re.findall(rf"{INSTALLED}/([\w-]+)", unit):
        program = folder / "bin" / command
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    (folder / name).write_text(unit.replace(INSTALLED, str(folder / "bin")))
    command = ["systemd-analyze", "verify", "--man=no", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60).stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_has_nothing_to_say_against_a_unit(unit: Path, tmp_path: Path) -> None:
    assert complaints(unit.read_text(), unit.name, tmp_path) == ""


def test_an_unknown_key_would_be_found(tmp_path: Path) -> None:
    unit = UNITS[0].read_text().replace("[Service]\n", "[Service]\nProtectEverything=yes\n")
    assert "ProtectEverything" in complaints(unit, UNITS[0].name, tmp_path)


def test_there_is_a_unit_for_visdom_for_jupyter_and_for_the_head_of_ray() -> None:
    assert [unit.name for unit in UNITS] == [
        "kaggle-ray-head@.service",
        "kaggle-ray-jupyter@.service",
        "kaggle-ray-visdom.service",
    ]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_listens_on_this_machine_alone_and_gains_no_rights(unit: Path) -> None:
    text = unit.read_text()
    assert re.search(r"-bind_local|--ip=127\.0\.0\.1|--node-ip-address=127\.0\.0\.1", text)
    assert "0.0.0.0" not in text
    assert "NoNewPrivileges=yes" in text
    assert re.search(r"ProtectSystem=(strict|full)", text)


@pytest.mark.parametrize("name", ["kaggle-ray-head@.service", "kaggle-ray-jupyter@.service"])
def test_what_drives_runs_has_the_time_to_save_them(name: str) -> None:
    (text,) = (unit.read_text() for unit in UNITS if unit.name == name)
    assert "KillMode=mixed" in text
    assert re.search(r"TimeoutStopSec=\d{2,}", text)
