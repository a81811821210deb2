"""Sound as an image: its mel spectrogram, by soundfile and scipy."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np

from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.images.readers.registry import check_values, extra_module
from kaggle_ray.types import Float64Array, FloatArray

_FLOOR_DB = 80.0
"""Decibels beneath the loudest that are told apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MelSpectrogram:
    """A reader of sound files, such as WAV, FLAC, Ogg and MP3: decibels of the power by mel band and time.

    The first ``seconds`` of a file are taken, at ``sample_rate``, all channels together; one that is shorter goes on in
    silence. Rows are bands, the highest first; columns are ``hop`` samples apart. Needs the extra ``audio``.

    >>> from kaggle_ray import MelSpectrogram
    >>> MelSpectrogram(sample_rate=16_000, seconds=2, num_mels=64).num_columns
    125
    """

    sample_rate: int = 32_000
    """Samples per second that a file is brought to."""
    seconds: float = 5.0
    num_mels: int = 128
    """Bands, evenly spaced on the mel scale from 0 to half the sample rate."""
    window: int = 1024
    """Samples of a Fourier transform."""
    hop: int = 256
    """Samples from one column to the next."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a number that makes no spectrogram."""
        values = (self.sample_rate, self.seconds, self.num_mels, self.window, self.hop)
        if min(values) <= 0 or self.num_mels > self.window // 2 or self.num_samples < self.window:
            raise ConfigError(
                f"a mel spectrogram: expected positive numbers, at most {self.window // 2} bands of a window of "
                f"{self.window} samples, and a sound that is as long as a window, got {self}."
            )

    @property
    def num_samples(self) -> int:
        """Samples of a sound that are looked at."""
        return round(self.seconds * self.sample_rate)

    @property
    def num_columns(self) -> int:
        """Columns of a spectrogram."""
        return self.num_samples // self.hop

    def __call__(self, path: Path) -> FloatArray:
        """Return (num_mels, num_columns) float32 decibels, at most 80 beneath the loudest.

        Raises:
            DataError: the file is no sound, or an empty one.
        """
        from scipy.signal import ShortTimeFFT, get_window

        samples = self._samples(path)
        fourier = ShortTimeFFT(
            get_window("hann", self.window), self.hop, self.sample_rate, fft_mode="onesided", scale_to="magnitude"
        )
        power_FT = np.abs(fourier.stft(samples, p0=0, p1=self.num_columns)) ** 2
        mels = mel_filters(self.num_mels, self.window, self.sample_rate) @ power_FT
        decibels = 10 * np.log10(np.maximum(mels, 1e-10))
        return np.asarray(np.maximum(decibels, decibels.max() - _FLOOR_DB)[::-1], dtype=np.float32)

    def _samples(self, path: Path) -> Float64Array:
        from scipy.signal import resample_poly

        soundfile = extra_module("soundfile", reader="MelSpectrogram")
        with soundfile.SoundFile(path) as file:
            rate, wanted = int(file.samplerate), int(np.ceil(self.seconds * file.samplerate))
            check_values(path, (wanted, int(file.channels)))
            samples = file.read(wanted, dtype="float64", always_2d=True).mean(axis=1)
        if not len(samples):
            raise DataError(f"{path}: is a sound of no length.")
        if rate != self.sample_rate:
            common = gcd(rate, self.sample_rate)
            samples = resample_poly(samples, self.sample_rate // common, rate // common)
        samples = samples[: self.num_samples]
        return np.pad(samples, (0, self.num_samples - len(samples)))


def mel_filters(num_mels: int, window: int, sample_rate: int) -> Float64Array:
    """Return (num_mels, window // 2 + 1) triangles over the frequencies of a Fourier transform, each of a sum of 1.

    Source: O'Shaughnessy, "Speech communication: human and machine", 1987 (the mel scale of 2595 log10(1 + f / 700)).
    """
    highest = 2595 * np.log10(1 + sample_rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, highest, num_mels + 2) / 2595) - 1)
    frequencies = np.arange(window // 2 + 1) * sample_rate / window
    low, middle, high = corners[:-2, np.newaxis], corners[1:-1, np.newaxis], corners[2:, np.newaxis]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    filters = np.maximum(np.minimum(rising, falling), 0)
    nearest = np.abs(frequencies - middle).argmin(axis=1)
    filters[np.arange(num_mels), nearest] = np.maximum(filters[np.arange(num_mels), nearest], 1e-3)  # of narrow bands
    return np.asarray(filters / filters.sum(axis=1, keepdims=True))
