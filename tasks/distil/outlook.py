"""What a training amounts to, before it begins; needs no model."""

from typing import Final

from pydantic import BaseModel, ConfigDict

from configs.schema import RunConfig

_MANY_EPOCHS: Final = 100.0


class Outlook(BaseModel):
    """A training on so many windows, kept or to be filtered.

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
    def of(cls, config: RunConfig, num_windows: int, hours: float) -> "Outlook":
        """The training of a configuration on `num_windows` with `hours` of speech."""
        settings = config.distil
        num_steps = settings.steps_for(num_windows)
        epochs = num_steps * settings.batch_size / max(1, num_windows)
        return cls(
            num_steps=num_steps,
            batch_size=settings.batch_size,
            num_windows=num_windows,
            epochs=epochs,
            hours=epochs * hours,
            cache_gb=config.runtime.encoder_cache_gb,
            why_not_cached=_why_not_cached(
                config, is_repeated=(num_steps - 1) * settings.batch_size >= num_windows
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
    if not is_repeated:
        return "no window is seen twice"
    return None
