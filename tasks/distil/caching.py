"""Whether training keeps the encoder's outputs; needs no model."""

from configs.schema import RunConfig


def why_not_cached(config: RunConfig, num_windows: int) -> str | None:
    """Why the encoder cache would not help a training on `num_windows`; None if it is used."""
    settings = config.distil
    if not config.runtime.encoder_cache_gb:
        return "runtime.encoder_cache_gb is 0"
    if not settings.freeze_encoder:
        return "the encoder is trained, so its outputs change"
    if settings.spec_augment is not None:
        return "the audio is augmented, so the encoder hears something else in each epoch"
    if settings.steps_for(num_windows) * settings.batch_size <= num_windows:
        return "training ends before it sees a window twice"
    return None
