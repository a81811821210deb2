"""Shows a run on a Visdom server: an environment for each run, whose windows are replaced as it goes on.

Everything but ``client`` is pure: ``history`` sums up what a run told, ``charts`` and ``pages`` make windows of it.
"""

from __future__ import annotations

from kaggle_ray.reporters.visdom.sink import make_sink

__all__ = ["make_sink"]
