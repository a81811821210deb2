"""Writes what was concluded as a competition's file: one that a person reads, edits and keeps."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from importlib.util import find_spec

from kaggle_ray.config.packaged import PACKAGED
from kaggle_ray.scaffold.conclude import Conclusion

_HEAD = '''"""{title}: {task}. {metric} was taken for the metric, which no file tells: see the competition's page.

{said}
"""

from __future__ import annotations

from pathlib import Path

from kaggle_ray import (
{imports}
)

SAMPLE = {sample!r}
{constants}

def read(folder: Path) -> Samples:
    """{read}"""
    test_ids = read_table(folder / SAMPLE, columns=[{test_id!r}])[{test_id!r}].tolist()
{body}
    return Samples(
        train_ids=as_ids({train_ids}),
        train_paths={train_paths},
        target={target},
        test_ids=as_ids(test_ids),
        test_paths=join_images(test_ids, folder / {test_folder!r}, table=folder / SAMPLE, shared=True),
    )


def default_space(settings: Settings) -> SearchSpace:
    """{on_cpu} on a CPU; a pretrained one, all of which is trained, on a GPU."""
    if settings.device == "cuda":
        return SearchSpace(base={{"model": "resnet50", "pretrained": True, "image_size": 224, "epochs": 5, "lr": 2e-4}})
    return SearchSpace(
        base={{
{base}
        }}
    )


COMPETITION = Competition(
    name={name!r},
    heads=(Head(task={task!r}, {classes}metric=metric_by_name({metric!r})),),  # candidates: {candidates}
    read=read,
    submission=SubmissionFormat(
        id_column={test_id!r}, columns={columns}, cells={cells!r}, sample_file=SAMPLE
    ),
    default_space=default_space,
)
'''

_SPACE = '''"""A first search space of {name}: two learning rates of {network}.

    kaggle-ray run {name} --space {name}
"""

from __future__ import annotations

from kaggle_ray import SearchSpace

SPACE = SearchSpace(
    base={{
{base}
    }},
    grid={{"lr": [1e-3, 4e-3]}},
)
'''

_PROBED = "tf_efficientnet_lite0"
"""timm's network whose weights a package brings, and whose features are cheap enough for a CPU."""
_PROBE = (
    f'"model": "timm/{_PROBED}", "pretrained": True, "freeze": "backbone", "head": {{"pooling": "avg"}},',
    '"image_size": 224, "batch_size": 32, "epochs": 30, "lr": 3e-3,',
)
_FROM_SCRATCH = ('"model": "resnet9", "model_args": {"width": 16}, "image_size": 64, "epochs": 10,',)


def name_of(slug: str) -> str:
    """Return the name of a competition's file: the slug with underscores."""
    name = re.sub(r"\W+", "_", slug).strip("_").lower()
    return f"competition_{name}" if not name or name[0].isdigit() or keyword.iskeyword(name) else name


def space_text(slug: str) -> str:
    """Return the text of search_spaces/NAME.py."""
    network, base = _on_cpu()
    return _SPACE.format(name=name_of(slug), network=network, base=_indented(base, 8))


def _on_cpu() -> tuple[str, tuple[str, ...]]:
    """Return what a CPU begins with, in words and in lines: of weights that are on this machine already, a probe."""
    if PACKAGED[_PROBED].path is not None and find_spec("timm") is not None:
        return "the head of a pretrained network", _PROBE
    return "a small network from scratch", _FROM_SCRATCH


def _indented(lines: Sequence[str], num_spaces: int) -> str:
    return "\n".join(f"{' ' * num_spaces}{line}" for line in lines)


def competition_text(slug: str, found: Conclusion, *, ids_clash: bool) -> str:
    """Return the text of competitions/NAME.py.

    Args:
        slug: of the competition.
        found: what it is.
        ids_clash: whether training and test images have the same ids, so that those of the former get a prefix.
    """
    body, names = _body(found)
    classes = "classes=CLASSES, " if found.classes else ""
    ids = '[f"train_{name}" for name in names]' if ids_clash else "names"
    on_cpu, base = _on_cpu()
    constants = f"CLASSES = {_tuple(found.classes)}\n" if found.classes else ""
    return _HEAD.format(
        title=slug,
        task=found.task,
        metric=found.metrics[0],
        on_cpu=on_cpu.capitalize(),
        base=_indented(base, 12),
        said="\n".join(f"- {what}: {why}." for what, why in found.said),
        imports="\n".join(f"    {name}," for name in sorted({*_ALWAYS, *names})),
        sample=found.sample_file,
        constants=constants,
        read="Read ids and labels, and join the images by id.",
        test_id=found.test_id_column,
        body=_indented(body, 4),
        train_ids=ids,
        train_paths=_paths(found),
        target=_target(found),
        test_folder=found.test_folder,
        name=name_of(slug),
        classes=classes,
        candidates=", ".join(found.metrics),
        columns=_tuple(found.columns),
        cells=found.cells,
    )


_ALWAYS = (
    "Competition", "Head", "Samples", "SearchSpace", "Settings", "SubmissionFormat", "as_ids", "join_images",
    "metric_by_name", "read_table",
)  # fmt: skip


def _body(found: Conclusion) -> tuple[list[str], list[str]]:
    """Return the lines that read the training rows, and the public names that they use beside the usual ones."""
    if found.label_kind == "folders":
        return [
            f'images = {{f"{{kind}}/{{stem}}": path for kind in CLASSES '
            f"for stem, path in list_images(folder / {found.train_folder!r} / kind).items()}}",
            "names = list(images)",
            'labels = [name.partition("/")[0] for name in names]',
        ], ["encode_labels", "list_images"]
    if found.label_kind == "names":
        return [
            f"images = list_images(folder / {found.train_folder!r})",
            "names = list(images)",
            'labels = [name.partition(".")[0] for name in names]',
        ], ["encode_labels", "list_images"]
    columns = "*CLASSES" if found.label_kind == "one_hot" else repr(found.target)
    lines = [
        f"train_file = folder / {found.label_file!r}",
        f"train = read_table(train_file, columns=[{found.id_column!r}, {columns}])",
        f"names = train[{found.id_column!r}].tolist()",
    ]
    if found.label_kind == "one_hot" or found.task == "regression":
        return lines, ["read_numbers"]
    return [*lines, f"labels = train[{found.target!r}].tolist()"], [
        "encode_tags" if found.task == "multilabel" else "encode_labels"
    ]


def _paths(found: Conclusion) -> str:
    if found.label_file is None:
        return "tuple(images.values())"
    return f"join_images(names, folder / {found.train_folder!r}, table=train_file, shared=True)"


def _target(found: Conclusion) -> str:
    where = (
        f"str(folder / {found.label_file or found.train_folder!r})" if found.label_file is None else "str(train_file)"
    )
    if found.label_kind == "one_hot":
        values = f"read_numbers(train, CLASSES, where={where}).values"
        return f"{values}.argmax(axis=1)" if found.task == "multiclass" else values
    if found.task == "regression":
        return f"read_numbers(train, [{found.target!r}], where={where}).values[:, 0]"
    encode = "encode_tags" if found.task == "multilabel" else "encode_labels"
    return f"{encode}(labels, CLASSES, ids=names, where={where})"


def _tuple(names: tuple[str, ...]) -> str:
    return f"({', '.join(map(repr, names))}{',' if len(names) == 1 else ''})"
