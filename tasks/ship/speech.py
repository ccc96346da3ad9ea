"""Windows of real speech, on which a converted student is compared with the original."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from storage.errors import UserError
from storage.receipt import FileRef
from storage.store import Store
from tasks.audio import Samples, decode_flac
from tasks.distil.validation_speech import read_validation_speech
from tasks.evaluate.long_form.pauses import cut_at_pauses

_SEED: Final = 0


def read_windows(
    store: Store, files: Sequence[tuple[str, FileRef]], *, num_windows: int, max_samples: int
) -> Mapping[str, Samples]:
    """At most `num_windows` windows by name, (samples,) float32 at 16 kHz.

    They are of as many sets and speakers of `files`, normalised shards with their set, as possible;
    an utterance longer than `max_samples` is cut at pauses. Raises `UserError` if there is none.
    """
    speech = read_validation_speech(
        store, files, num_windows=num_windows, window_samples=max_samples, seed=_SEED
    )
    found: dict[str, Samples] = {}
    for name, batches in speech.items():
        for batch in batches:
            found.update(_windows(name, batch.to_pylist(), max_samples))
    if not found:
        raise UserError(
            "the held-out speech has no utterances, on which the converted student would be"
            " compared with the original; convert what `--format hf` writes yourself"
        )
    return dict(list(found.items())[:num_windows])


def _windows(
    name: str, rows: Sequence[Mapping[str, Mapping[str, bytes]]], max_samples: int
) -> Iterator[tuple[str, Samples]]:
    for row in rows:
        samples = decode_flac(row["audio"]["bytes"])
        for start, end in cut_at_pauses(samples, max_samples):
            yield f"{name}/{row['id']}@{start}", samples[start:end]
