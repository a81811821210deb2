"""cluster/local.yaml for real: up, submit, results, down, over ssh to this machine, in namespaces of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("in_namespaces.sh")
UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--net"]


def why_not() -> str | None:
    """Return what this machine lacks, None where it has all."""
    folders = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in ("ssh", "sshd", "rsync", "ip", "unshare") if shutil.which(name, path=folders) is None]
    if missing:
        return f"{', '.join(missing)}: not installed (Debian: openssh-server, rsync, iproute2, util-linux)"
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        return "unshare: namespaces are not allowed here"
    return None


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.service
@pytest.mark.timeout(1500)
def test_a_cluster_of_this_machine_goes_from_up_over_submit_and_its_results_to_down(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    out.mkdir()
    done = subprocess.run(
        [*UNSHARE, "bash", SCRIPT, REPOSITORY, home, out], capture_output=True, text=True, timeout=1400, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.endswith("went from up to down\n")
    (submission,) = out.glob("runs/digits/*/submissions/submission.csv")
    assert len(submission.read_text().splitlines()) > 100
    said = (out / "submit.log").read_text()
    assert "That was the smoke test: no competition was named. Your own:" in said
    (events,) = out.glob("runs/digits/*/events.jsonl")
    assert events.stat().st_size > 0
