"""The encoder output of audio windows, computed or read from a cache."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from tasks.whisper.encoding.cache import OutputCache
from tasks.whisper.encoding.encoder import EncoderLayers
from tasks.whisper.encoding.features import LogMel
from tasks.whisper.engine import AudioWindow


class WindowEncoder:
    """Encodes windows, features included.

    A `cache` has exact outputs: of whole windows alone, not of those with a part that is covered or
    of excerpts of a recording.
    """

    def __init__(
        self, log_mel: LogMel, encoder: WhisperEncoder, cache: OutputCache | None = None
    ) -> None:
        self._log_mel, self._cache = log_mel, cache
        self._encoder = EncoderLayers(encoder)

    @torch.inference_mode()
    def __call__(self, windows: Sequence[AudioWindow]) -> Tensor:
        """The output of the encoder, (windows, frames, width), on its device."""
        if self._cache is None:
            return self._computed(windows)
        cache = self._cache
        found = [cache.get(one.samples) if _is_whole(one) else None for one in windows]
        missing = [one for one, output in zip(windows, found, strict=True) if output is None]
        computed = iter(self._computed(missing) if missing else ())
        outputs: list[Tensor] = []
        for window, output in zip(windows, found, strict=True):
            if output is None:
                output = next(computed)
                if _is_whole(window):
                    cache.keep([window.samples], output[None])
            outputs.append(output)
        return torch.stack(outputs)

    def _computed(self, windows: Sequence[AudioWindow]) -> Tensor:
        features = self._log_mel(
            [window.samples for window in windows],
            [window.covered.seek for window in windows],
            [window.excerpt for window in windows],
        )
        return self._encoder(features)


def _is_whole(window: AudioWindow) -> bool:
    return not window.covered.seek and window.excerpt is None
