"""Whisper's log-mel spectrogram, computed on the model's device and only over actual audio.

Deals with samples and frames; it has no notion of models.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor

from tasks.audio import Samples
from tasks.whisper.device import to_device


class LogMel:
    """The features of `extractor`, without dither, on one device.

    Equal to the extractor's within 1e-4 (values range from about -1 to 2): sums round differently.
    """

    def __init__(
        self, extractor: WhisperFeatureExtractor, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._window_samples: int = extractor.n_samples
        self._frame_samples: int = extractor.n_fft
        self._hop_samples: int = extractor.hop_length
        self._device, self._dtype = device, dtype
        self._hann = torch.hann_window(self._frame_samples, device=device)
        self._filters = torch.from_numpy(extractor.mel_filters.T.astype(np.float32)).to(device)

    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[Samples], seeks: Sequence[int] = ()) -> Tensor:
        """Features of each waveform, (windows, mels, frames), as if padded to a full window.

        A waveform is (samples,) float32 at 16 kHz. With `seeks` its features begin at that frame of
        10 ms: those before it are removed and silence is appended. Raises `ValueError` for a
        waveform that is longer than the window instead of truncating it silently.
        """
        longest = max(len(waveform) for waveform in waveforms)
        if longest > self._window_samples:
            raise ValueError(
                f"a waveform has {longest} samples, but the window {self._window_samples}"
            )
        hop = self._hop_samples
        # so much padding that the last frame, with its reflected end, contains silence only
        num_padded = -(-(longest + self._frame_samples) // hop) * hop
        padded = torch.zeros(len(waveforms), min(num_padded, self._window_samples))
        for row, waveform in zip(padded, waveforms, strict=True):
            row[: len(waveform)] = torch.from_numpy(waveform)
        log_mel = self._log_mel(to_device(padded, self._device))
        num_frames = self._window_samples // hop
        silence = log_mel.new_full((), 1e-10).log10()
        features = log_mel.new_empty((*log_mel.shape[:2], num_frames))
        features[..., : log_mel.shape[2]] = log_mel
        features[..., log_mel.shape[2] :] = silence
        floor = log_mel.amax(dim=(1, 2), keepdim=True) - 8.0
        for row, seek in enumerate(seeks):
            if seek:
                # the level of silence stays that of the whole waveform, as in openai/whisper
                features[row] = torch.cat(
                    [features[row, :, seek:], silence.expand(features.shape[1], seek)], dim=1
                )
        return features.maximum(floor).add_(4.0).div_(4.0).to(self._dtype)

    def _log_mel(self, padded: Tensor) -> Tensor:
        spectrum = torch.stft(
            padded, self._frame_samples, self._hop_samples, window=self._hann, return_complex=True
        )[..., :-1]
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.matmul(self._filters, power).clamp_(min=1e-10).log10_()
