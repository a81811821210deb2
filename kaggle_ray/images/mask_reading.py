"""Decides where the foreground of binary masks begins: once over all of them, by the values that occur.

A mask may hold 0 and 1, 0 and 255, 0 and 65535, the numbers of objects, or, of a JPEG, values around 0 and 255. What
one file means is often known from the others only: one of 0 and 3 may be faint noise, or the third of three objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from kaggle_ray.counted import counted
from kaggle_ray.data.reading import MaskForm, MaskReading
from kaggle_ray.errors import DataError
from kaggle_ray.images.facts import Levels, MaskFacts, pooled

_FEWEST_GREYS = 64
"""Highest value below which values are numbers rather than shades."""
_NEAR = 8
"""What is below an eighth of the highest value is near black; what is above seven eighths is near white."""
_MOST_BETWEEN = 0.5
"""Pixels between both, for each that is near white, up to which those between are edges."""
_MOST_NEAR_BLACK, _FEWEST_SHADES = 0.05, 4
"""Pixels near black for each that is white: more of them are a class of their own, unless they have so many values, or
white has, that they are what is left of a JPEG."""
_TOP: Mapping[MaskForm, int] = {"8 bits": 255, "16 bits": 65535, "palette": 255}
_BLACK = [0, 0, 0]
_NUM_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Mask:
    """One file as the set is read."""

    path: Path
    levels: Levels
    is_lossy: bool

    @property
    def highest(self) -> int:
        return self.levels[-1][0]


def decide_masks(facts: Mapping[Path, MaskFacts]) -> tuple[MaskReading, list[str]]:
    """Return how the masks are read, and a line each on what could be meant otherwise.

    Raises:
        DataError: it cannot be told what is foreground; files are named.
    """
    remarks: list[str] = []
    alpha = _is_in_alpha(facts, remarks)
    palette_numbers = _is_by_number(facts)
    of_forms: dict[MaskForm, list[_Mask]] = {form: [] for form in get_args(MaskForm)}
    for path, each in facts.items():
        if alpha and each.alpha is not None:
            of_forms[each.form].append(_Mask(path, each.alpha, each.is_lossy))
        elif palette_numbers and each.numbers is not None:
            of_forms["palette"].append(_Mask(path, each.numbers, is_lossy=False))
        else:
            of_forms[each.form].append(_Mask(path, each.colors, each.is_lossy))
    cuts = {form: _cuts_of(form, masks, of_forms, remarks) for form, masks in of_forms.items() if masks}
    if facts and all(mask.highest == 0 for masks in of_forms.values() for mask in masks):
        raise DataError(
            f"all {counted(len(facts), 'mask is', 'masks are')} empty, such as {_names(list(facts))}. Are they the "
            "right files?"
        )
    return MaskReading(alpha=alpha, palette_numbers=palette_numbers, cuts=cuts), remarks


def _is_in_alpha(facts: Mapping[Path, MaskFacts], remarks: list[str]) -> bool:
    """Return whether the mask is in the alpha channel of those files that have one."""
    found = {path: each for path, each in facts.items() if each.alpha is not None}
    opacities = {value for each in found.values() for value, _ in each.alpha or ()}
    if len(opacities) < 2:
        return False
    differing = {path: each for path, each in found.items() if not each.alpha_agrees and len(each.colors) > 1}
    masks = [path for path, each in differing.items() if len(each.colors) == 2 and not each.is_colored]
    if masks:
        raise DataError(
            f"{counted(len(masks), 'mask has', 'masks have')} two values in their colours and others in their alpha "
            f"channel, such as {_names(masks)}: which of both is the mask? Save them without an alpha channel, or "
            "declare the "
            f"competition's reading=Reading(masks=MaskReading(alpha=...))."
        )
    if differing:
        remarks.append(
            f"{counted(len(found), 'mask is', 'masks are')} read from the alpha channel, for the colours are "
            f"pictures, such as {_names(list(differing))}"
        )
    return True


def _is_by_number(facts: Mapping[Path, MaskFacts]) -> bool:
    """Return whether the numbers of a palette's colours are the mask: where these are no greys, and none is black.

    What saves a GIF may number the colours anew in each file, so that black tells the background better than 0 does.
    """
    found = {path: {number: color for number, *color in each.palette} for path, each in facts.items() if each.palette}
    if any(len(palette) > 1 and all(color == _BLACK for color in palette.values()) for palette in found.values()):
        return True
    if not any(facts[path].is_colored for path in found):
        return False
    has_black = any(_BLACK in palette.values() for palette in found.values())
    if has_black:
        torn = [path for path, colors in found.items() if _BLACK in colors.values() and colors.get(0, _BLACK) != _BLACK]
    else:
        of_numbers: dict[int, list[int]] = {}
        torn = [
            path
            for path, palette in found.items()
            if any(of_numbers.setdefault(number, color) != color for number, color in palette.items())
        ]
    if torn:
        raise DataError(
            f"{counted(len(torn), 'mask has', 'masks have')} a palette in which black is not colour 0, or numbers "
            f"mean other colours than in the others, such as {_names(torn)}: which colour is the background? Save "
            "them as grey images of 0 and "
            f"255, or declare the competition's reading=Reading(masks=MaskReading(palette_numbers=...))."
        )
    return not has_black


def _cuts_of(
    form: MaskForm, masks: Sequence[_Mask], of_forms: Mapping[MaskForm, Sequence[_Mask]], remarks: list[str]
) -> tuple[int, ...]:
    """Return the cuts of the masks of one form; of those that end below the cut of the others, their own, too."""
    values = pooled([mask.levels for mask in masks])
    lowest, highest = min(values), max(values)
    others = [mask for other, rest in of_forms.items() if other != form for mask in rest if mask.highest]
    if lowest > highest / _NEAR and not (others and len(values) == 1 and highest == _TOP[form]):
        raise DataError(
            f"no pixel of {counted(len(masks), 'mask')} of {form} is black, such as "
            f"{_names([mask.path for mask in masks])}: they "
            f"hold {_listed(sorted(values))}, of which nothing tells the background. Save them with 0 as the "
            f"background and 255 as the foreground."
        )
    high = [mask for mask in masks if mask.highest > highest // 2 or not mask.highest]
    cut = _cut_of(form, high, remarks)
    low = [mask for mask in masks if 0 < mask.highest <= cut]
    if not low:
        return (cut,)
    paths = [mask.path for mask in low]
    if all(mask.is_lossy for mask in low):
        remarks.append(
            f"{counted(len(low), 'mask is', 'masks are')} read as empty, for no value exceeds {cut}: {_names(paths)}"
        )
        return (cut,)
    remarks.append(
        f"{counted(len(low), 'mask has', 'masks have')} no value above {max(mask.highest for mask in low)}, while "
        f"others of {form} reach {highest}: each is cut by its own values: {_names(paths)}"
    )
    empty = [mask for mask in masks if not mask.highest]
    return tuple(sorted({*_cuts_of(form, [*low, *empty], of_forms, remarks), cut}))


def _cut_of(form: MaskForm, masks: Sequence[_Mask], remarks: list[str]) -> int:
    """Return the value above which a pixel is foreground, in masks that reach nearly the same highest value."""
    values = pooled([mask.levels for mask in masks])
    highest, levels = max(values), sorted(value for value in values if value)
    if len(levels) < 2:
        return highest // 2
    near_white = [value for value in levels if value > highest * (1 - 1 / _NEAR)]
    near_black = [value for value in levels if value < highest / _NEAR]
    num_white, num_black = (sum(values[value] for value in near) for near in (near_white, near_black))
    num_between = sum(values[value] for value in levels) - num_white - num_black
    is_class = len(near_white) == 1 and len(near_black) < _FEWEST_SHADES and num_black > _MOST_NEAR_BLACK * num_white
    separates = num_between <= _MOST_BETWEEN * num_white and highest >= _FEWEST_GREYS and form != "palette"
    is_lossy = any(mask.is_lossy for mask in masks)
    if separates and (is_lossy or not is_class):
        return highest // 2
    several = [mask.path for mask in masks if sum(value > 0 for value, _ in mask.levels) > 1]
    named = _names(several or [mask.path for mask in masks if mask.highest])
    if is_lossy:
        remarks.append(f"the values of masks of {form} do not separate; they are cut at {highest // 2}: {named}")
        return highest // 2
    remarks.append(f"masks hold {_listed(levels)}: whatever is not 0 is read as foreground: {named}")
    return 0


def _listed(values: Sequence[int]) -> str:
    few = ", ".join(map(str, values[:4]))
    return few if len(values) <= 4 else f"{few} and so on up to {values[-1]}"


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths[:_NUM_NAMED]) + (", ..." if len(paths) > _NUM_NAMED else "")
