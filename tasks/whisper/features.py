"""Whisper's log-mel spectrogram, made on the device that hears, of no more than the sound.

Knows samples and frames; knows no model.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor

from tasks.audio import Samples


class LogMel:
    """The features that `extractor` makes, without dither, ready on one device.

    Equal to those within 1e-4 (they lie in about -1 to 2): the last bits of a sum differ.
    """

    def __init__(
        self, extractor: WhisperFeatureExtractor, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._window_samples: int = extractor.n_samples
        self._frame_samples: int = extractor.n_fft
        self._hop_samples: int = extractor.hop_length
        self._device, self._dtype = device, dtype
        self._taper = torch.hann_window(self._frame_samples, device=device)
        self._filters = torch.from_numpy(extractor.mel_filters.T.astype(np.float32)).to(device)

    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[Samples]) -> Tensor:
        """The features of each waveform, (windows, mels, frames), as if padded to the window.

        A waveform is (samples,) float32 at 16 kHz. Raises `ValueError` for one that is longer than
        the window, which would be cut without a trace.
        """
        longest = max(len(waveform) for waveform in waveforms)
        if longest > self._window_samples:
            raise ValueError(
                f"a waveform has {longest} samples and the window {self._window_samples}"
            )
        hop = self._hop_samples
        # enough silence that neither a frame nor the mirrored end touches the sound any more
        needed = -(-(longest + self._frame_samples) // hop) * hop
        padded = torch.zeros(len(waveforms), min(needed, self._window_samples))
        for row, waveform in zip(padded, waveforms, strict=True):
            row[: len(waveform)] = torch.from_numpy(waveform)
        log_mel = self._log_mel(sent(padded, self._device))
        num_frames = self._window_samples // hop
        silent = log_mel.new_full((), 1e-10).log10()
        whole = log_mel.new_empty((*log_mel.shape[:2], num_frames))
        whole[..., : log_mel.shape[2]] = log_mel
        whole[..., log_mel.shape[2] :] = silent
        floor = log_mel.amax(dim=(1, 2), keepdim=True) - 8.0
        return whole.maximum(floor).add_(4.0).div_(4.0).to(self._dtype)

    def _log_mel(self, padded: Tensor) -> Tensor:
        spectrum = torch.stft(
            padded, self._frame_samples, self._hop_samples, window=self._taper, return_complex=True
        )[..., :-1]
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.matmul(self._filters, power).clamp_(min=1e-10).log10_()


def sent(host: Tensor, device: torch.device) -> Tensor:
    """`host` on the device, without waiting for the work that is queued there."""
    if device.type != "cuda":
        return host.to(device)
    return host.pin_memory().to(device, non_blocking=True)
