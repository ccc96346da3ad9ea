"""The encoder output of audio windows, computed or read from a cache."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from tasks.whisper.encoding.cache import EncoderCache
from tasks.whisper.encoding.encoder import EncoderLayers
from tasks.whisper.encoding.features import LogMel
from tasks.whisper.engine import AudioWindow


class WindowEncoder:
    """Encodes windows with each of one or several encoders of the same features.

    A `cache` has exact outputs of the first and requires that there is no other; raises
    `ValueError` otherwise. It has whole windows alone, not those with a part that is covered or
    excerpts of a recording.
    """

    def __init__(
        self, log_mel: LogMel, encoders: Sequence[WhisperEncoder], cache: EncoderCache | None = None
    ) -> None:
        if cache is not None and len(encoders) > 1:
            raise ValueError(f"a cache of one encoder, but {len(encoders)} encoders")
        self._log_mel, self._cache = log_mel, cache
        self._encoders = [EncoderLayers(one) for one in encoders]

    @torch.inference_mode()
    def __call__(self, windows: Sequence[AudioWindow]) -> list[Tensor]:
        """The output of each encoder, (windows, frames, width), on its device."""
        if self._cache is None:
            return self._computed(windows)
        cache = self._cache
        found = [cache.get(one.samples) if _is_whole(one) else None for one in windows]
        missing = [one for one, output in zip(windows, found, strict=True) if output is None]
        computed = iter(self._computed(missing)[0] if missing else ())
        outputs: list[Tensor] = []
        for window, output in zip(windows, found, strict=True):
            if output is None:
                output = next(computed)
                if _is_whole(window):
                    cache.keep([window.samples], output[None])
            outputs.append(output)
        return [torch.stack(outputs)]

    def _computed(self, windows: Sequence[AudioWindow]) -> list[Tensor]:
        features = self._log_mel(
            [window.samples for window in windows],
            [window.covered.seek for window in windows],
            [window.excerpt for window in windows],
        )
        return [encoder(features) for encoder in self._encoders]


def _is_whole(window: AudioWindow) -> bool:
    return not window.covered.seek and window.excerpt is None
