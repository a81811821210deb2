from __future__ import annotations

import numpy as np

from kaggle_ray.store.predictions import as_floats, quantised


def test_bytes_keep_probabilities_to_half_a_step() -> None:
    values = np.random.default_rng(0).random((10, 100), dtype=np.float32)
    kept = quantised(values)
    assert kept.dtype == np.uint8
    assert np.abs(as_floats(kept) - values).max() <= 0.5 / 255 + 1e-6
    assert quantised(as_floats(kept)).tolist() == kept.tolist()


def test_floats_stay_as_they_are() -> None:
    values = np.array([[-3.5, 1e6]], dtype=np.float32)
    assert as_floats(values).tolist() == values.tolist()
