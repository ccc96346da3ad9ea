"""Names and revisions of synthetic corpora; `tasks.demo` makes them."""

from typing import Final

from configs.schema import Synthetic
from storage.fingerprint import digest

SYNTHETIC_CORPORA: Final = (
    "peoples_speech",
    "gigaspeech",
    "common_voice",
    "librispeech",
    "voxpopuli",
    "tedlium",
    "fisher",
    "switchboard",
    "ami",
)
"""The corpora that have a synthetic form."""

SYNTHETIC_VERSION: Final = 2
"""Raised when the same settings produce different bytes; existing folders are then rewritten."""


def synthetic_revision(form: str, settings: Synthetic) -> str:
    """The revision of a synthetic corpus: a hash of the values that determine its bytes.

    Only those that differ from their defaults, so that a new setting invalidates nothing.
    """
    values = settings.model_dump(mode="json", exclude={"folder"}, exclude_defaults=True)
    return f"synthetic-{digest([SYNTHETIC_VERSION, form, values])[:8]}"
