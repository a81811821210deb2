"""Volumes as slices with their neighbours, and sounds as spectrograms: of volumes and sounds that are made here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.images.readers import MelSpectrogram, VolumeSlices
from kaggle_ray.images.readers.sound import mel_filters

RATE = 8000


def write_sound(path: Path, hertz: float, *, rate: int = RATE, seconds: float = 1.0) -> Path:
    import soundfile

    soundfile.write(path, 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate), rate)
    return path


def loudest_band(spectrogram: Any) -> int:
    return len(spectrogram) - 1 - int(spectrogram.mean(axis=1).argmax())


def test_a_volume_of_any_depth_has_as_many_slices_with_their_neighbours(tmp_path: Path) -> None:
    for depth, middle in ((9, [1, 4, 7]), (2, [0, 1, 1])):
        np.save(tmp_path / "volume.npy", np.broadcast_to(np.arange(depth), (4, 6, depth)))
        slices = VolumeSlices(reader="npy", num=3, neighbours=1)(tmp_path / "volume.npy")
        assert slices.shape == (3, 4, 6, 3)
        around = np.array(middle)[:, np.newaxis] + np.arange(-1, 2)
        np.testing.assert_array_equal(slices[:, 0, 0], around.clip(0, depth - 1))


@pytest.mark.parametrize(
    ("named", "told"), [({"num": 0}, "num of at least 1"), ({"num": 2, "reader": "mine"}, "a reader of ours")]
)
def test_slices_that_cannot_be_are_refused(named: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        VolumeSlices(**{"reader": "npy", **named})


@pytest.mark.parametrize(("name", "rate"), [("a.wav", RATE), ("a.flac", 2 * RATE), ("a.ogg", 11025)])
def test_a_tone_is_loud_in_its_band_whatever_the_file_and_its_rate(name: str, rate: int, tmp_path: Path) -> None:
    reader = MelSpectrogram(sample_rate=RATE, seconds=0.5, num_mels=32, window=512, hop=128)
    centres = mel_filters(32, 512, RATE) @ (np.arange(257) * RATE / 512)
    for hertz in (440.0, 2000.0):
        spectrogram = reader(write_sound(tmp_path / name, hertz, rate=rate))
        assert spectrogram.shape == (32, reader.num_columns)
        assert spectrogram.dtype == np.float32
        assert abs(loudest_band(spectrogram) - int(np.abs(centres - hertz).argmin())) <= 1


def test_a_short_sound_goes_on_in_silence_and_one_of_no_length_is_told(tmp_path: Path) -> None:
    reader = MelSpectrogram(sample_rate=RATE, seconds=1, num_mels=16, window=256, hop=64)
    spectrogram = reader(write_sound(tmp_path / "short.wav", 440, seconds=0.5))
    assert spectrogram[:, 70:].max() == spectrogram.max() - 80
    with pytest.raises(DataError, match=r"empty\.wav: is a sound of no length"):
        reader(write_sound(tmp_path / "empty.wav", 440, seconds=0))


def test_a_sound_needs_the_extra_that_brings_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ConfigError, match=r"needs soundfile: pip install 'kaggle-ray\[audio\]'"):
        MelSpectrogram()(tmp_path / "a.wav")


def test_numbers_that_make_no_spectrogram_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most 8 bands of a window of 16 samples"):
        MelSpectrogram(window=16)
