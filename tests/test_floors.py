"""The floors of the house: imports go down only, and what is heavy is imported only where it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "kaggle_ray"

FLOORS: list[set[str]] = [
    {"cli", "api"},
    {"packing"},
    {"pipeline"},
    {"report", "share", "kaggle", "scaffold"},
    {"launch", "submission", "evaluation"},
    {"reporters"},
    {"schedule"},
    {"combine"},
    {"train"},
    {"models"},
    {"images"},
    {"pool"},
    {"store", "data"},
    {"decide"},
    {"metrics"},
    {"config", "cache"},
    {"rows", "registry", "typed_json", "progress", "s3"},
    {"types"},
    {"untrusted", "uri", "given"},
    {"errors", "deprecation", "cpus", "field_help", "counted"},
]
"""From the top. A room imports from itself and from the floors below its own, never from a neighbour."""

FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
EXEMPT = {"__init__", "testing"}
"""The lazy public names, and the toys and contracts that only tests use."""

TORCH = {"torch", "torchvision", "timm", "segmentation_models_pytorch", "safetensors"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of every import, inside functions too, but not those for type checkers only."""
    pending: list[ast.AST] = [ast.parse(path.read_text(), filename=str(path))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and is_type_checking(node):
            pending += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; write the whole name."
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
        pending += ast.iter_child_nodes(node)


def shown(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def upward_imports(path: Path) -> list[str]:
    room = room_of(path)
    found: list[str] = []
    for line, name in imports(path):
        top, *rest = name.split(".")
        if top != "kaggle_ray" or room in EXEMPT:
            continue
        target = rest[0] if rest else "__init__"
        if target == room:
            continue
        if target not in FLOOR_OF:
            found.append(f"{shown(path)}:{line}: imports {name}, which is on no floor")
        elif FLOOR_OF[target] <= FLOOR_OF[room]:
            found.append(f"{shown(path)}:{line}: {room} imports {name}, but {target} is not below it")
    return found


def importers(names: set[str]) -> set[str]:
    """Return the modules that import one of the top-level ``names``, tests' own tools aside."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        if room_of(path) != "testing"
        for _, name in imports(path)
        if name.partition(".")[0] in names
    }


def test_every_room_is_on_a_floor() -> None:
    homeless = {room_of(path) for path in modules()} - FLOOR_OF.keys() - EXEMPT
    assert not homeless, f"give {sorted(homeless)} a floor in tests/test_floors.py, and a line in README.md."


def test_imports_go_down_only() -> None:
    found = [problem for path in modules() for problem in upward_imports(path)]
    assert not found, "\n".join(found)


def test_an_upward_import_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    module = tmp_path / "store" / "run.py"
    module.parent.mkdir()
    module.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from kaggle_ray.pipeline.result import RunResult\n"
        "def late():\n    from kaggle_ray.train.loop import fit\n"
        "from kaggle_ray.errors import StoreError\n"
    )
    assert upward_imports(module) == [
        "store/run.py:5: store imports kaggle_ray.train.loop.fit, but train is not below it"
    ]


def imported_modules() -> dict[str, set[str]]:
    """Return for each of the package's modules those of them that it imports, inside functions too."""
    names = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in modules()
    }
    found: dict[str, set[str]] = {}
    for module, path in names.items():
        found[module] = set()
        for _, name in imports(path):
            while name and name not in names:
                name = name.rpartition(".")[0]
            found[module] |= {name} - {"", module, PACKAGE.name}
    return found


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """Return modules that import one another in a circle; empty where none do."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert circle_in(imported_modules()) == []


def test_a_circle_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "kaggle_ray"
    monkeypatch.setitem(globals(), "PACKAGE", package)
    (package / "store").mkdir(parents=True)
    (package / "store" / "__init__.py").write_text("")
    (package / "store" / "run.py").write_text("from kaggle_ray.store import lease\n")
    (package / "store" / "lease.py").write_text("def late():\n    from kaggle_ray.store.run import RunStore\n")
    assert set(circle_in(imported_modules())) == {"kaggle_ray.store.run", "kaggle_ray.store.lease"}


def test_reporters_know_events_and_nothing_else() -> None:
    known = {
        name.split(".")[1]
        for path in (PACKAGE / "reporters").rglob("*.py")
        for _, name in imports(path)
        if name.startswith("kaggle_ray.")
    }
    assert known <= {"reporters", "registry", "progress", "typed_json", "types", "untrusted", "errors", "counted"}


def test_ray_is_imported_only_in_the_ray_launchers() -> None:
    assert all(path.startswith("launch/ray_") for path in importers({"ray"})), importers({"ray"})


def test_torch_is_imported_only_in_train_models_and_images() -> None:
    outside = [path for path in importers(TORCH) if not path.startswith(("train/", "models/", "images/"))]
    assert not outside, f"{outside} import torch or what belongs to it."


def test_the_client_of_a_service_is_imported_in_its_own_file_alone() -> None:
    assert importers({"boto3", "botocore"}) == {"s3.py", "reporters/mail/ses.py"}
    assert importers({"smtplib"}) == {"reporters/mail/smtp.py"}
    assert importers({"visdom", "requests"}) == {"reporters/visdom/client.py"}
    assert importers({"elasticsearch", "elastic_transport"}) == {"reporters/elasticsearch/server.py"}
    assert importers({"tensorboardX"}) == {"reporters/tensorboard.py"}
    assert importers({"mlflow"}) == {"reporters/mlflow.py"}
    assert importers({"wandb"}) == {"reporters/wandb.py"}


def test_albumentations_is_imported_only_in_images() -> None:
    assert all(path.startswith("images/") for path in importers({"albumentations"}))


def test_the_package_never_imports_competitions_or_search_spaces() -> None:
    assert not importers({"competitions", "search_spaces", "tests"})


def test_competitions_and_search_spaces_use_the_public_names_only() -> None:
    import kaggle_ray

    found = [
        f"{shown(path)}:{line}: {name}"
        for folder in ("competitions", "search_spaces")
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        for line, name in imports(path)
        if name.startswith("kaggle_ray.") and name.removeprefix("kaggle_ray.") not in kaggle_ray.__all__
    ]
    assert not found, "\n".join(found)


def imported_by(statement: str) -> set[str]:
    """Return the top-level names of all modules that a fresh process has after ``statement``."""
    program = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["kaggle_ray", "kaggle_ray.cli"])
def test_start_up_imports_nothing_heavy(module: str) -> None:
    assert not imported_by(f"import {module}") & {
        "torch",
        "ray",
        "pandas",
        "numpy",
        "rich",
        "sklearn",
        "cv2",
        "albumentations",
        "boto3",
        "elasticsearch",
    }


@pytest.mark.parametrize("story", ["pipeline.driver", "pipeline.inference"])
def test_the_stories_import_neither_torch_nor_ray(story: str) -> None:
    assert not imported_by(f"import kaggle_ray.{story}") & {"torch", "ray", "albumentations", "boto3"}


def test_the_training_core_and_the_local_launcher_do_not_import_ray() -> None:
    assert "ray" not in imported_by("import kaggle_ray.train.trial, kaggle_ray.launch.local")
