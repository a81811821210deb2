"""cluster/aws.yaml as Ray reads it: its schema, and its bootstrap of AWS against moto's."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = REPOSITORY / "cluster" / "aws.yaml"
PLACEHOLDERS = {"ami-YOUR_IMAGE": "ami-12c6146b", "YOUR_HEAD_PROFILE": "head", "YOUR_WORKER_PROFILE": "worker"}
"""What a user fills in, and what stands for it here; the image is one that moto knows."""


@pytest.fixture
def prepared() -> dict[str, Any]:
    """The file as `ray up` takes it."""
    yaml = pytest.importorskip("yaml")
    from ray.autoscaler._private.util import prepare_config, validate_config

    text = FILE.read_text()
    for name, value in PLACEHOLDERS.items():
        text = text.replace(name, value)
    config: dict[str, Any] = prepare_config(yaml.safe_load(text))
    validate_config(config)
    return config


def test_it_keeps_ray_s_schema_and_starts_with_a_head_alone(prepared: dict[str, Any]) -> None:
    types = prepared["available_node_types"]
    assert prepared["head_node_type"] == "head"
    assert {name: kind["min_workers"] for name, kind in types.items()} == {
        "head": 0,
        "gpu_spot": 0,
        "gpu_on_demand": 0,
    }, "it scales to zero"
    assert prepared["idle_timeout_minutes"] <= 10
    assert prepared["provider"]["cache_stopped_nodes"] is False


def test_workers_are_on_spot_with_another_type_on_demand_to_fall_back_to(prepared: dict[str, Any]) -> None:
    spot = {
        name: "InstanceMarketOptions" in kind["node_config"] for name, kind in prepared["available_node_types"].items()
    }
    assert spot == {"head": False, "gpu_spot": True, "gpu_on_demand": False}


def test_every_node_has_a_pinned_image_a_profile_and_what_uv_lock_names(prepared: dict[str, Any]) -> None:
    for kind in prepared["available_node_types"].values():
        assert kind["node_config"]["ImageId"].startswith("ami-")
        assert kind["node_config"]["IamInstanceProfile"]["Name"]
    assert sum("uv sync --frozen" in command for command in prepared["setup_commands"]) == 1
    assert not any("ray-wheels" in command for command in prepared["setup_commands"]), "no nightly build of Ray's"
    assert (REPOSITORY / "cluster" / "spot_notice.py").is_file()


@pytest.fixture
def _aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    moto = pytest.importorskip("moto")
    import boto3

    monkeypatch.setenv("HOME", str(tmp_path))  # where the bootstrap writes the key that it makes
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with moto.mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        iam = boto3.client("iam")
        for name in ("head", "worker"):
            iam.create_instance_profile(InstanceProfileName=name)
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("_aws")
def test_ray_s_bootstrap_of_aws_takes_it_and_leaves_profiles_images_and_markets(prepared: dict[str, Any]) -> None:
    from ray.autoscaler._private.aws.config import bootstrap_aws

    done = bootstrap_aws(copy.deepcopy(prepared))
    for name, kind in done["available_node_types"].items():
        before, after = prepared["available_node_types"][name]["node_config"], kind["node_config"]
        assert after["IamInstanceProfile"] == before["IamInstanceProfile"]
        assert after["ImageId"] == before["ImageId"]
        assert after.get("InstanceMarketOptions") == before.get("InstanceMarketOptions")
        assert after["SubnetIds"]
        assert after["SecurityGroupIds"]
        assert after["KeyName"]
