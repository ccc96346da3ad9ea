"""Whisper's log-mel spectrogram, computed on the model's device and only over actual audio.

Deals with samples and frames; it has no notion of models.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import WhisperFeatureExtractor

from tasks.audio import Samples
from tasks.whisper.device import to_device
from tasks.whisper.excerpt import Excerpt


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
    def __call__(
        self,
        waveforms: Sequence[Samples],
        seeks: Sequence[int] = (),
        excerpts: Sequence[Excerpt | None] = (),
    ) -> Tensor:
        """Features of each waveform, (windows, mels, frames), as if padded to a full window.

        A waveform is (samples,) float32 at 16 kHz. With `seeks` its features begin at that frame of
        10 ms: those before it are removed and silence is appended. Those of `excerpts` are cut out
        of the features of the recording, as in openai/whisper: the end of a recording is followed
        by 0.0, the value of faint noise. Raises `ValueError` for a waveform that is longer than the
        window instead of truncating it silently.
        """
        log_mel = self._log_mel(self._padded(waveforms, excerpts))
        num_frames = self._window_samples // self._hop_samples
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
        for row, excerpt in enumerate(excerpts):
            if excerpt is not None:
                floor[row] = excerpt.peak - 8.0
        features = features.maximum(floor).add_(4.0).div_(4.0)
        for row, excerpt in enumerate(excerpts):
            if excerpt is not None:
                features[row, :, len(waveforms[row]) // self._hop_samples :] = 0.0
        return features.to(self._dtype)

    @torch.inference_mode()
    def peak(self, recording: Samples) -> float:
        """The highest value of the logarithmic mel spectrogram of a recording, of any length.

        The recording is (samples,) float32 at 16 kHz. Memory is that of one window.
        """
        size = self._window_samples
        peaks: list[float] = []
        for start in range(0, len(recording) + 1, size):  # frames reach beyond the last sample
            block = recording[start : start + size]
            excerpt = Excerpt.between(recording, start, start + len(block), peak=0.0)
            peaks.append(self._log_mel(self._padded([block], [excerpt])).max().item())
        return max(peaks)

    def _padded(self, waveforms: Sequence[Samples], excerpts: Sequence[Excerpt | None]) -> Tensor:
        """Waveforms in rows, followed by silence; both ends continue by half a frame.

        They continue with what surrounds an excerpt, otherwise with their reflection.
        """
        longest = max(len(waveform) for waveform in waveforms)
        if longest > self._window_samples:
            raise ValueError(
                f"a waveform has {longest} samples, but the window {self._window_samples}"
            )
        hop, margin = self._hop_samples, self._frame_samples // 2
        # so much padding that the last frame, with its reflected end, contains silence only
        num_padded = -(-(longest + self._frame_samples) // hop) * hop
        rows = torch.zeros(len(waveforms), min(num_padded, self._window_samples))
        for row, waveform in zip(rows, waveforms, strict=True):
            row[: len(waveform)] = torch.from_numpy(waveform)
        padded = functional.pad(rows[:, None], (margin, margin), mode="reflect")[:, 0]
        for row, waveform, excerpt in zip(padded, waveforms, excerpts, strict=False):
            if excerpt is None:
                continue
            before, after = excerpt.before[-margin:], excerpt.after[:margin]
            # the first frames of a recording are reflected, as in openai/whisper
            if len(before):
                row[margin - len(before) : margin] = torch.from_numpy(before)
            row[margin + len(waveform) :] = 0.0
            row[margin + len(waveform) :][: len(after)] = torch.from_numpy(after)
        return to_device(padded, self._device)

    def _log_mel(self, padded: Tensor) -> Tensor:
        spectrum = torch.stft(
            padded,
            self._frame_samples,
            self._hop_samples,
            window=self._hann,
            center=False,
            return_complex=True,
        )[..., :-1]
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.matmul(self._filters, power).clamp_(min=1e-10).log10_()
