"""The dashboards for Kibana: what their generator writes, whole, and of fields that our indices have.

Kibana cannot be had here. What it takes is held by the names that the schemas of its version 8.9 allow.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from kaggle_ray.config import Hyperparameters
from kaggle_ray.reporters.elasticsearch.templates import KINDS, properties_of

FOLDER = Path(__file__).resolve().parents[2] / "cluster" / "kibana"
*OBJECTS, SUMMARY = map(json.loads, (FOLDER / "dashboards.ndjson").read_text().splitlines())
PANELS = [each for each in OBJECTS if each["type"] == "lens"]
DASHBOARDS = [each for each in OBJECTS if each["type"] == "dashboard"]

ATTRIBUTES = {
    "index-pattern": {"title", "name", "timeFieldName"},
    "lens": {"title", "description", "visualizationType", "state"},
    "dashboard": {
        "title", "description", "version", "timeRestore", "timeFrom", "timeTo", "refreshInterval", "panelsJSON",
        "optionsJSON", "controlGroupInput", "kibanaSavedObjectMeta",
    },
}  # fmt: skip
"""Attributes of ours that Kibana's schemas name; they forbid others."""
NEWEST = {"index-pattern": "8.0.0", "lens": "8.9.0", "dashboard": "8.9.0"}
NUMBERS, WORDS = {"double", "integer", "long"}, {"keyword", "integer", "long"}
TYPES_OF = {
    **dict.fromkeys(("average", "min", "max", "sum", "median", "standard_deviation"), NUMBERS),
    "terms": WORDS,
    "date_histogram": {"date"},
}
"""Operation of Lens -> types of the fields that it works on."""


def written(*options: str) -> list[str]:
    program = [sys.executable, str(FOLDER / "dashboards.py"), *options]
    return subprocess.run(program, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()


def layer_of(panel: dict[str, Any]) -> dict[str, Any]:
    layers: dict[str, dict[str, Any]] = panel["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]
    (layer,) = layers.values()
    return layer


def named(objects: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(each, id=each["id"]) for each in objects]


def type_of(field: str, kind: str) -> str:
    """Return the type of a field in the index of a kind; of those whose names a run brings, too."""
    (kind,) = (each for each in KINDS if each == kind)
    name, _, below = field.partition(".")
    if below:
        assert below in Hyperparameters().to_dict()
        assert properties_of(kind)[name]["type"] == "object"
        return {"numeric_hyperparameters": "double", "categorical_hyperparameters": "keyword"}[name]
    found: str = properties_of(kind)[name]["type"]
    return found


def test_the_file_is_what_the_generator_writes_and_another_prefix_is_another_s_throughout() -> None:
    assert written() == (FOLDER / "dashboards.ndjson").read_text().splitlines()
    ours, theirs = "\n".join(written()), "\n".join(written("--prefix", "team"))
    assert theirs == ours.replace("kaggle-ray", "team")


def test_objects_are_told_apart_counted_and_refer_to_one_another() -> None:
    assert SUMMARY["exportedCount"] == len(OBJECTS)
    assert max(Counter(each["id"] for each in OBJECTS).values()) == 1
    there = {(each["type"], each["id"]) for each in OBJECTS}
    assert {(each["type"], each["id"]) for one in OBJECTS for each in one["references"]} <= there
    shown = {each["id"] for dashboard in DASHBOARDS for each in dashboard["references"]}
    assert {each["id"] for each in PANELS} <= shown


@pytest.mark.parametrize("saved", named(OBJECTS))
def test_an_object_has_the_attributes_that_kibana_takes_and_is_no_newer_than_it(saved: dict[str, Any]) -> None:
    assert saved["attributes"].keys() <= ATTRIBUTES[saved["type"]]
    assert saved["typeMigrationVersion"] == NEWEST[saved["type"]]
    assert saved["coreMigrationVersion"] == "8.8.0"


@pytest.mark.parametrize("panel", named(PANELS))
def test_a_panel_asks_for_fields_that_the_documents_of_its_kind_have(panel: dict[str, Any]) -> None:
    layer, state = layer_of(panel), panel["attributes"]["state"]
    kind, *conditions = state["query"]["query"].replace('"', "").replace(" ", "").split("and")
    assert all(condition == "status:committed" for condition in conditions)
    columns = layer["columns"]
    for column in columns.values():
        if column["operationType"] == "count":
            assert column["sourceField"] == "___records___"
            continue
        type_ = type_of(column["sourceField"], kind.removeprefix("kind:"))
        by_number = column["operationType"] == "terms" and column["dataType"] == "number"
        assert type_ in TYPES_OF[column["operationType"]] | (NUMBERS if by_number else set())
        order_by = column["params"].get("orderBy", {})
        if order_by.get("type") == "column":
            assert not columns[order_by["columnId"]]["isBucketed"]
    assert layer["columnOrder"] == sorted(columns, key=lambda name: (not columns[name]["isBucketed"], int(name)))
    drawn = state["visualization"]
    if panel["attributes"]["visualizationType"] == "lnsXY":
        (chart,) = drawn["layers"]
        used = [
            chart["xAccessor"],
            *([chart["splitAccessor"]] if "splitAccessor" in chart else []),
            *chart["accessors"],
        ]
        assert used == layer["columnOrder"]
    else:
        assert [each["columnId"] for each in drawn["columns"]] == layer["columnOrder"]


@pytest.mark.parametrize("dashboard", named(DASHBOARDS))
def test_a_dashboard_s_panels_are_beside_one_another_and_its_menus_are_of_fields(dashboard: dict[str, Any]) -> None:
    names = {each["name"] for each in dashboard["references"]}
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    assert {f"{each['panelIndex']}:{each['panelRefName']}" for each in panels} <= names
    for one, other in combinations((each["gridData"] for each in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above
    assert all(each["gridData"]["x"] + each["gridData"]["w"] <= 48 for each in panels)
    menus = json.loads(dashboard["attributes"]["controlGroupInput"]["panelsJSON"])
    for name, menu in menus.items():
        assert f"controlGroup_{name}:optionsListDataView" in names
        assert all(type_of(menu["explicitInput"]["fieldName"], kind) == "keyword" for kind in KINDS)
