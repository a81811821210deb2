from __future__ import annotations

import pytest

from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.reach import check_reach


def test_a_plain_folder_is_refused_by_name_on_several_machines() -> None:
    with pytest.raises(
        ConfigError, match=r"/home/a/runs/toy/x: is a folder of one machine, and the cluster has 2 \(a, b\)"
    ):
        check_reach("/home/a/runs/toy/x", ["b", "a", "b"])


@pytest.mark.parametrize("location", ["s3://bucket/toy/x", "file:///shared/toy/x"])
def test_what_all_machines_reach_is_taken(location: str) -> None:
    check_reach(location, ["a", "b"])


def test_several_nodes_of_one_machine_share_its_folders() -> None:
    check_reach("/home/a/runs/toy/x", ["a", "a"])
