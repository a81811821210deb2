"""The same as ``kaggle-ray run``, as one file: what ``ray submit CLUSTER.yaml run.py`` sends."""

import sys

from kaggle_ray.cli import main

if __name__ == "__main__":
    main(["run", *sys.argv[1:]])
