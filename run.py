"""The same as ``kaggle-ray run``, as one file: what ``ray submit CLUSTER.yaml run.py`` or a Ray job runs on a cluster.

Without arguments it runs the embedded competition, as a smoke test of the machine or the cluster.
"""

import os
import sys
from pathlib import Path

SMOKE_TEST = ["digits", "--set", "epochs=2"]
NEXT_STEP = """
That was the smoke test: no competition was named. Your own:
    python run.py COMPETITION --data FOLDER                                     on this machine
    ray submit CLUSTER.yaml run.py -- COMPETITION --data s3://BUCKET/PREFIX     on a cluster: docs/cluster.md"""

if __name__ == "__main__":
    if not (Path(__file__).resolve().parent / "kaggle_ray").is_dir():
        # `ray submit` copies this file alone to the head of a cluster. There a run joins the cluster or says why not;
        # it never starts a Ray of its own.
        os.environ.setdefault("RAY_ADDRESS", "auto")

    arguments = sys.argv[1:]
    try:
        from kaggle_ray.cli import main

        main(["run", *(arguments or SMOKE_TEST)])
    except ModuleNotFoundError as missing:  # of a Python that lacks some of what the package needs, or all
        if (missing.name or "").startswith("kaggle_ray."):
            raise
        sys.exit(
            f"run.py: {missing}. Use the environment of `make setup`: source .venv/bin/activate, or: uv run run.py"
        )
    if not arguments:
        print(NEXT_STEP)
