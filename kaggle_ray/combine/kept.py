"""What was learnt of pools, kept under a digest of all that it was learnt from: an unchanged pool is not learnt again.

The digest is over what the members predict, the target, the folds, the method, and the code that learns and scores,
ours and the competition's: where any of it has changed, what was kept is not found, and is learnt anew.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from kaggle_ray.combine.combiner import COMBINERS
from kaggle_ray.combine.fits import Blend, Fits
from kaggle_ray.combine.nested import Learn, NestedScore, nested_of, nested_score
from kaggle_ray.decide import Decision
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue, canonical_json

_PACKAGE = Path(__file__).resolve().parents[1]
_ROOMS = ("combine", "decide", "metrics")
"""Rooms whose code says what is learnt of given rows."""
_LIBRARIES = ("numpy", "scipy", "scikit-learn")
"""Packages that compute it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _KeptBlend:
    method: str
    fitted: Mapping[str, JsonValue]
    decision: Mapping[str, JsonValue]

    @staticmethod
    def of(blend: Blend) -> _KeptBlend:
        return _KeptBlend(method=blend.method, fitted=blend.fitted.to_json(), decision=blend.decision.to_json())

    def made(self) -> Blend:
        fitted = COMBINERS[self.method]().from_json(self.fitted)
        return Blend(method=self.method, fitted=fitted, decision=Decision.from_json(self.decision))

    def to_json(self) -> dict[str, JsonValue]:
        return {"method": self.method, "fitted": dict(self.fitted), "decision": dict(self.decision)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _KeptScore:
    """A ``NestedScore`` without what its members tell."""

    honest: float
    in_sample: float
    standard_error: float | None
    final: _KeptBlend
    by_part: Mapping[str, _KeptBlend]


class Kept:
    """Nested scores by the digest of what they were learnt from: those of earlier, and those that are asked for now."""

    def __init__(self, earlier: Mapping[str, JsonValue] | None = None, *, code: JsonValue = None) -> None:
        """Start with what was kept earlier.

        Args:
            earlier: what ``to_json`` gave then.
            code: what stands for the user's code of metric and combiners, such as digests of its files.
        """
        self._earlier, self._code = dict(earlier or {}), code
        self._asked: dict[str, JsonValue] = {}
        self._digests: dict[int, tuple[Rows, str]] = {}  # with the rows themselves, lest others get their number

    def nested(self, fits: Fits, what: JsonValue, learn: Learn, *, with_error: bool) -> NestedScore:
        """Return the nested score of what is learnt of a pool, as it was kept, or learnt now.

        Args:
            fits: the pool.
            what: says what ``learn`` does.
            learn: as ``nested_score`` takes it.
            with_error: whether the standard error is wanted.
        """
        key = self._digest(fits, [what, with_error])
        value = self._asked.get(key, self._earlier.get(key))
        if value is None:
            nested = nested_score(fits, learn, with_error=with_error)
            value = _to_json(nested)
        else:
            nested = _from_json(value, fits, where=f"kept ensembles: {key}")
        if all(math.isfinite(each) for each in (nested.honest, nested.in_sample, nested.standard_error or 0.0)):
            self._asked[key] = value
        return nested

    def has(self, fits: Fits, what: JsonValue, *, with_error: bool) -> bool:
        """Return whether the nested score of what says ``what`` is known already; see ``nested``."""
        return self._digest(fits, [what, with_error]) in self._asked.keys() | self._earlier.keys()

    def to_json(self) -> dict[str, JsonValue]:
        """Return what was asked for, for the next time; what nobody asked for is dropped."""
        return dict(self._asked)

    def _digest(self, fits: Fits, what: JsonValue) -> str:
        metric = fits.metric
        facts: list[JsonValue] = [_own_code(), self._code, what, metric.name, metric.decision, fits.forward]
        digest = hashlib.sha256(canonical_json(facts).encode())
        parts = {"": fits.target, **fits.inputs}
        digest.update(canonical_json({name: self._digest_of(rows) for name, rows in parts.items()}).encode())
        digest.update(np.ascontiguousarray(fits.fold_of, dtype=np.int64).tobytes())
        return digest.hexdigest()

    def _digest_of(self, rows: Rows) -> str:
        """Return a digest of a table, which is read once, however many pools it is in."""
        if id(rows) not in self._digests:
            digest = hashlib.sha256(canonical_json(list(rows.shape)).encode())
            for block in blocks(rows):
                values = np.ascontiguousarray(rows[block])
                digest.update(values.dtype.str.encode())
                digest.update(values.tobytes())
            self._digests[id(rows)] = rows, digest.hexdigest()
        return self._digests[id(rows)][1]


@cache
def _own_code() -> str:
    """Return a digest of the package's code that learns and scores, and of the versions of what computes."""
    digest = hashlib.sha256(" ".join(map(version, _LIBRARIES)).encode())
    for path in sorted(path for room in _ROOMS for path in (_PACKAGE / room).rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _to_json(nested: NestedScore) -> dict[str, JsonValue]:
    return {
        "honest": nested.honest,
        "in_sample": nested.in_sample,
        "standard_error": nested.standard_error,
        "final": _KeptBlend.of(nested.final).to_json(),
        "by_part": {str(part): _KeptBlend.of(blend).to_json() for part, blend in nested.by_part.items()},
    }


def _from_json(value: JsonValue, fits: Fits, *, where: str) -> NestedScore:
    kept = from_json(_KeptScore, value, where=where)
    return nested_of(
        fits,
        final=kept.final.made(),
        by_part={int(part): blend.made() for part, blend in kept.by_part.items()},
        honest=kept.honest,
        in_sample=kept.in_sample,
        standard_error=kept.standard_error,
    )
