"""What a training amounts to, before it begins; needs no model."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict

from configs.schema import RunConfig
from storage.manifest import Content

_MANY_EPOCHS: Final = 100.0


class Outlook(BaseModel):
    """A training on so many windows, kept or to be filtered.

    Where corpora have weights, `num_windows` counts each window as often as it is seen in an epoch.
    `hours` of speech are seen in all `epochs` together. `why_not_cached` says why the encoder's
    outputs are not kept on disk; None if they are.
    """

    model_config = ConfigDict(frozen=True)

    num_steps: int
    batch_size: int
    num_windows: int
    epochs: float
    hours: float
    cache_gb: float
    why_not_cached: str | None

    @classmethod
    def of_content(cls, config: RunConfig, content: Content) -> "Outlook":
        """The training of a configuration on what a manifest has, or would have."""
        windows: defaultdict[str, int] = defaultdict(int)
        hours: defaultdict[str, float] = defaultdict(float)
        for entry in content.entries:
            windows[entry.corpus] += entry.num_windows
            hours[entry.corpus] += entry.hours
        return cls.of(config, windows, hours)

    @classmethod
    def of(
        cls,
        config: RunConfig,
        windows_by_corpus: Mapping[str, int],
        hours_by_corpus: Mapping[str, float],
    ) -> "Outlook":
        """The training of a configuration on so many windows and hours of speech."""
        settings = config.distil
        num_windows = settings.weighted(windows_by_corpus)
        num_steps = settings.steps_for(num_windows)
        epochs = num_steps * settings.batch_size / max(1.0, num_windows)
        most_often = max(
            (settings.weighted({name: 1.0}) for name, num in windows_by_corpus.items() if num),
            default=0.0,
        )
        return cls(
            num_steps=num_steps,
            batch_size=settings.batch_size,
            num_windows=round(num_windows),
            epochs=epochs,
            hours=epochs * settings.weighted(hours_by_corpus),
            cache_gb=config.runtime.encoder_cache_gb,
            why_not_cached=_why_not_cached(
                config,
                is_repeated=(num_steps - 1) * settings.batch_size * most_often >= num_windows,
            ),
        )

    def __str__(self) -> str:
        """As one sentence or several."""
        text = (
            f"{self.num_steps:,} updates of {self.batch_size} windows: {self.epochs:,.1f} epochs of"
            f" {self.num_windows:,} windows, {self.hours:,.1f} hours of speech."
        )
        if self.epochs > _MANY_EPOCHS:
            text += " That is very often the same speech: set distil.num_epochs, such as 10."
        if self.why_not_cached is not None:
            return f"{text} The encoder runs in each epoch: {self.why_not_cached}."
        return (
            f"{text} The encoder runs once for each window whose output finds room in the"
            f" {self.cache_gb:g} GB of runtime.encoder_cache_gb."
        )


def _why_not_cached(config: RunConfig, *, is_repeated: bool) -> str | None:
    if not config.runtime.encoder_cache_gb:
        return "runtime.encoder_cache_gb is 0"
    if not config.distil.freeze_encoder:
        return "it is trained, so its output changes"
    if config.distil.spec_augment is not None:
        return "the audio is augmented, so its input changes"
    if not is_repeated and config.runtime.device != "cpu":  # where it pays for the next student
        return "no window is seen twice"
    return None
