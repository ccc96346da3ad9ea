"""Exports a manifest for NeMo: FLAC files, and a JSON Lines manifest with relative paths.

The keys are those of NeMo's speech recognition manifests. NeMo resolves a relative `audio_filepath`
against the folder of the manifest.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

from storage.manifest import Manifest
from storage.receipt import FileRef
from storage.store import Store
from tasks.card import render_card
from tasks.export.parts import RECORDS, Part, Written
from tasks.export.rows import Row, file_name
from tasks.read_ahead import read_ahead

TABLE: Final = "train_manifest.jsonl"

_NUM_WRITERS: Final = 8
_NUM_AHEAD: Final = 32

_KEYS: Final = f"""
## The keys of `{TABLE}`

`audio_filepath`, relative to this file; `duration` in seconds; `text`, the normalised reference,
empty if there is none; `pred_text`, the transcript of the teacher, to train on; `lang`; `wer`
between the two, 1 for 100 %; and `id`, `corpus`, `split`, `utterance_ids` and `offsets_s` of the
window.
"""


class Nemo:
    """FLAC files in `audio/`, one JSON Lines file, and README.md."""

    name = "nemo"
    version = 1
    folder = RECORDS

    def write(self, dest: Store, part: Part, rows: Iterator[Row]) -> FileRef:
        """Write the audio files of a part, then its lines."""
        lines = read_ahead(
            rows,
            lambda row: _with_audio(dest, row),
            num_threads=_NUM_WRITERS,
            num_ahead=_NUM_AHEAD,
        )
        num_rows = 0
        path = f"{self.folder}/{part.name}.jsonl"
        with dest.sink(path.rpartition("/")[0]) as sink, closing(lines):
            for line in lines:
                sink.write(line)
                num_rows += 1
            return dest.keep(sink, path).model_copy(update={"num_rows": num_rows})

    def finish(self, dest: Store, manifest: Manifest, written: Sequence[Written]) -> None:
        """Write the lines of all parts to one file, and the card."""
        with dest.sink("") as sink:
            for one in written:
                sink.write(dest.read(one.file.path))
            dest.keep(sink, TABLE)
        with dest.sink("") as sink:
            sink.write(f"{render_card(manifest)}{_KEYS}".encode())
            dest.keep(sink, "README.md")


def _with_audio(dest: Store, row: Row) -> bytes:
    """Write the audio of a row and return its line."""
    path = f"audio/{row.corpus}/{row.split}/{row.shard:05d}/{file_name(row.id)}.flac"
    dest.put_if_absent(path, row.flac)
    line = {
        "audio_filepath": path,
        "duration": row.duration_s,
        "text": row.text,
        "pred_text": row.pseudo_text,
        "lang": row.language,
        "wer": None if row.wer_percent is None else row.wer_percent / 100,
        "id": row.id,
        "corpus": row.corpus,
        "split": row.split,
        "utterance_ids": row.utterance_ids,
        "offsets_s": row.offsets_s,
    }
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"
