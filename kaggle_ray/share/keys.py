"""Which files of a run are shared: data of known kinds. What is not listed here is neither sent nor taken.

A report is none of them, since it is a page that a browser would run: whoever pulls a run makes it anew. Neither are
the diary, checkpoints, the lease, nor any code.
"""

from __future__ import annotations

import re
from typing import Annotated

from kaggle_ray.untrusted import MAX_JSON_BYTES, MAX_LIST_BYTES, MAX_WEIGHTS_BYTES, Bound, is_file_key

_EXPERIMENT = r"trials/[0-9a-f]{12}"
_TRIAL = rf"{_EXPERIMENT}/(?:fold[0-9]{{1,3}}|full)"
_ATTEMPT = rf"{_TRIAL}/attempts/[0-9a-f]{{12}}/(?:epoch[0-9]{{1,9}}/)?"

_MAX_BYTES = {
    r"(?:run|reading|labels|added)\.json": MAX_JSON_BYTES,
    r"(?:content|unreadable|near_duplicates)\.json": MAX_LIST_BYTES,
    r"folds\.csv": MAX_LIST_BYTES,
    r"rounds/[0-9]{1,6}\.json": MAX_JSON_BYTES,
    rf"{_EXPERIMENT}/experiment\.json": MAX_JSON_BYTES,
    rf"{_TRIAL}/result\.json": MAX_JSON_BYTES,
    rf"{_ATTEMPT}manifest\.json": MAX_LIST_BYTES,
    rf"{_ATTEMPT}(?:valid\.npy|test\.npy|weights\.safetensors)": MAX_WEIGHTS_BYTES,
    r"ensembles/[^/]+/ensemble\.json": MAX_JSON_BYTES,
    r"ensembles/[^/]+/(?:oof|test)\.npy": MAX_WEIGHTS_BYTES,
    r"evaluation/rows\.json": MAX_JSON_BYTES,
    r"evaluation/rows\.npy": MAX_LIST_BYTES,
    r"submissions/[^/]+\.json": MAX_JSON_BYTES,
    r"submissions/[^/]+\.csv": MAX_LIST_BYTES,
}
"""Pattern of a key -> the most bytes of such a file."""


def max_bytes_of(key: str) -> int | None:
    """Return the most bytes that a shared file may have, None where no such file is shared.

    >>> max_bytes_of("run.json"), max_bytes_of("competition.py"), max_bytes_of("../run.json")
    (67108864, None, None)
    """
    if not is_file_key(key):
        return None
    return next((bound for pattern, bound in _MAX_BYTES.items() if re.fullmatch(pattern, key)), None)


SharedKey = Annotated[str, Bound("the name of a file that runs share", lambda key: max_bytes_of(key) is not None)]
"""The key of a file in its run."""


def is_weights(key: str) -> bool:
    """Return whether a file is of weights: it predicts new rows, and is not needed to ensemble those that there are."""
    return key.endswith("/weights.safetensors")
