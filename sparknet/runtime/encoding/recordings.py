"""Recordings: the bytes of a file as its log-mel spectrogram, by libsndfile and numpy."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from math import ceil, log10

import numpy as np
import soundfile
from numpy.typing import NDArray

from sparknet.compiler.encoders import FRAMES_A_SECOND, Spectrogram
from sparknet.runtime.encoding.images import MediaError

WINDOW_SECONDS = 0.025
LOW_HERTZ, HIGH_HERTZ = 20.0, 8000.0
FLOOR = 1e-10
"""The least power, that of silence: its logarithm is -23."""
SLOWEST, FASTEST = 1000, 384_000
"""Samples a second that a recording may have."""
MOST_CHANNELS = 64
MOST_SAMPLES = 200_000_000
"""Samples of a channel that are read: an hour at 48,000 a second, 1.6 GB."""
_SAMPLES_AT_ONCE = 1 << 18
_FRAMES_AT_ONCE = 512
"""So many are transformed together: at 384,000 samples a second they take 300 MB."""


def read_recording(data: bytes, encoder: Spectrogram) -> tuple[NDArray[np.float32], int]:
    """The spectrogram of the first `frames` hundredths of a second, float32[frames * mel], and how many are there.

    A shorter recording is filled up with silence. Frequencies are in Hertz whatever the sample rate, so recordings of
    different rates need not be resampled; channels are averaged. Raises MediaError.
    """
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            rate, channels = file.samplerate, file.channels
            if not SLOWEST <= rate <= FASTEST or not 1 <= channels <= MOST_CHANNELS:
                raise MediaError(f"is a recording of {channels:,} channels with {rate:,} samples a second")
            samples = _mono(file, ceil(encoder.frames * rate / FRAMES_A_SECOND))
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise MediaError("is no recording of a known format (WAV, FLAC, OGG, MP3)") from error
    if not np.isfinite(samples).all():
        raise MediaError("is a recording that holds NaN or infinity")
    there = min(encoder.frames, max(1, ceil(len(samples) * FRAMES_A_SECOND / rate)))
    return log_mel(samples, rate, encoder).astype(np.float32).reshape(-1), there


def _mono(file: soundfile.SoundFile, most: int) -> NDArray[np.float64]:
    """The first `most` samples, averaged over the channels; what a header says of their number is not believed."""
    if most > MOST_SAMPLES:
        raise MediaError(f"is a recording of which {most:,} samples would be read, more than {MOST_SAMPLES:,}")
    parts, there = [np.zeros(0)], 0
    while there < most:
        part = file.read(min(_SAMPLES_AT_ONCE, most - there), dtype="float64", always_2d=True).mean(axis=1)
        if len(part) == 0:
            break
        parts.append(part)
        there += len(part)
    return np.concatenate(parts)


def log_mel(samples: NDArray[np.float64], rate: int, encoder: Spectrogram) -> NDArray[np.float64]:
    """The logarithm of the power in each band of the mel scale, [frames, mel].

    Hann windows of 25 ms every 10 ms; the power of a sine of amplitude 1 is 0.25 at its frequency, at any rate. Bands
    are triangles on the mel scale of O'Shaughnessy, 2595 log10(1 + f / 700), from 20 to 8000 Hz.
    """
    size = max(2, round(rate * WINDOW_SECONDS))
    starts = np.arange(encoder.frames) * rate // FRAMES_A_SECOND
    padded = np.zeros(int(starts[-1]) + size)
    kept = samples[: len(padded)]
    padded[: len(kept)] = kept
    window = np.hanning(size + 2)[1:-1]
    window /= window.sum()
    length = 1 << (2 * size - 1).bit_length()
    bands = _bands(rate, length, encoder.mel)
    found = np.empty((encoder.frames, encoder.mel))
    for first in range(0, encoder.frames, _FRAMES_AT_ONCE):
        some = starts[first : first + _FRAMES_AT_ONCE, None]
        power = np.abs(np.fft.rfft(padded[some + np.arange(size)] * window, length, axis=1)) ** 2
        found[first : first + _FRAMES_AT_ONCE] = np.log(np.maximum(power @ bands, FLOOR))
    return found


@lru_cache(maxsize=32)
def _bands(rate: int, length: int, mel: int) -> NDArray[np.float64]:
    """What each frequency counts in each band, [length // 2 + 1, mel]; the weights of a band sum to at most 1."""
    low, high = (2595 * log10(1 + hertz / 700) for hertz in (LOW_HERTZ, HIGH_HERTZ))
    edges = 700 * (10 ** (np.linspace(low, high, mel + 2) / 2595) - 1)
    hertz = np.arange(length // 2 + 1)[:, None] * (rate / length)
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(weights / np.maximum(1, weights.sum(axis=0)))
