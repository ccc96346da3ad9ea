"""What each stage makes of a small fixture: when one of these changes, raise the stage's version.

A digest here covers values, not the bytes of a Parquet file, which a library's version may change.
"""

import hashlib
import json
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from configs.schema import Filter, Label, Normalise, Runtime, Teacher
from storage.outcome import Outcome, Rejected
from storage.schema import row_ids
from storage.shard import ShardKey
from tasks.audio import decode
from tasks.corpora.base import Member, Segment
from tasks.corpora.public.librispeech import LIBRISPEECH, clean
from tasks.filter.rules import FilterContext
from tasks.filter.shard import filter_shard
from tasks.index.shard import index_shard
from tasks.normalise.schema import NORMALISED
from tasks.normalise.shard import normalise_shard
from tasks.plan.shard import plan_part
from tasks.score.shard import score_shard
from tasks.score.vocabulary import Vocabulary
from tasks.stages import stage_named
from tasks.text.comparison import Comparison, normaliser

TEACHER = Path(__file__).parents[2] / "tasks" / "demo" / "teacher"
KEY = ShardKey("librispeech", "train-clean-100", 0)

GOLDEN = {
    "plan": (2, "dc6f20dbd8d01164"),
    "normalise": (3, "0f94e0f751f4b1ae"),
    "label": (3, "45d6644311a12a7a"),
    "score": (3, "64c0846617de1321"),
    "index": (1, "fc026c856321ac1b"),
    "filter": (4, "a5d4153ffa6a4474"),
}
"""Stage to its version and the digest of what it makes."""


def recordings() -> dict[str, bytes]:
    """Three files: 16 kHz FLAC, 8 kHz stereo, and one that is no audio."""
    times_s = np.arange(16_000) / 16_000
    tone = (0.3 * np.sin(2 * np.pi * 440 * times_s) * 32767).astype(np.int16)
    return {
        "1-1-0000": _file(tone, 16_000, "FLAC"),
        "1-1-0001": _file(np.stack([tone[:8_000], -tone[:8_000]], axis=1), 8_000, "WAV"),
        "2-1-0000": b"no audio",
    }


def _file(samples: Any, rate_hz: int, container: str) -> bytes:
    buffer = BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=container, subtype="PCM_16")
    return buffer.getvalue()


def planned() -> pa.Table:
    segments = [
        Segment(
            id=name, split=KEY.split, recording_id=name[:3], speaker_id=name[0],
            audio=Member("raw/a.tar", f"{name}.flac", 0, len(data), 1.0),
            raw_text=f"IT'S {name[0]}",
        )
        for name, data in recordings().items()
    ]  # fmt: skip
    part = plan_part(
        segments, split=KEY.split, known_ids=(), first_shard=0, target_shard_hours=1,
        file_digests={"raw/a.tar": "0" * 64},
    )  # fmt: skip
    return pa.Table.from_batches([one for one in part.outcomes if isinstance(one, pa.RecordBatch)])


def normalised() -> list[Outcome]:
    by_size = {len(data): data for data in recordings().values()}
    return list(normalise_shard(planned(), lambda place: by_size[place.size], KEY, Normalise()))


def labelled() -> list[Outcome]:
    from tasks.label.shard import label_shard
    from tasks.whisper.engines import load_engine

    settings = Label(teacher=Teacher(path=str(TEACHER)))
    batches = [one for one in normalised() if isinstance(one, pa.RecordBatch)]
    engine = load_engine(settings, Runtime(label_batch_size=2))
    return list(label_shard(batches, engine, settings))


def scored() -> list[Outcome]:
    labels = pa.table(
        {
            "window_id": ["a", "b"],
            "utterance_ids": [["a"], ["b", "c"]],
            "offsets_s": [[0.0], [0.0, 1.25]],
            "duration_s": [1.0, 2.0],
            "pseudo_text": ["Mister Brown's colour is grey.", "twenty two boats"],
            "pseudo_tokens": [[5, 6, 0, 1, 4], [5, 6, 2, 3, 4]],
            "language": ["en", "en"],
            "flags": [[], ["no_end"]],
            "avg_logprob": [-0.1, -0.2],
            "no_speech_prob": [0.0, 0.5],
            "compression_ratio": [1.0, 1.5],
        }
    )
    references = pa.table(
        {
            "id": ["c", "b", "a"],
            "speaker_id": ["2", "2", None],
            "raw_text": ["LOST", "22 BOATS", "MR BROWN'S COLOR IS GRAY"],
        }
    )
    letters = Vocabulary(("Mister", "Brown", "\u0120twenty\u0120two", "\u0120boats"), None)
    how = Comparison("english", "en")
    return list(score_shard(labels, references, clean, how, lambda: letters))


def indexed() -> list[Outcome]:
    batches = [one for one in normalised() if isinstance(one, pa.RecordBatch)]
    return list(index_shard(batches, clean, normaliser("english")))


def filtered() -> list[Outcome]:
    evidence = pa.Table.from_batches([one for one in scored() if isinstance(one, pa.RecordBatch)])
    known = FilterContext(licence=LIBRISPEECH.licence)
    return [
        one
        for unit in ("window", "utterance")
        for one in filter_shard(evidence, Filter(unit=unit), known)
    ]


def _digest(outcomes: Iterable[Outcome]) -> str:
    rows: list[Any] = []
    for outcome in outcomes:
        if isinstance(outcome, Rejected):
            rows.append([outcome.id, outcome.outcome, outcome.reason])
        elif isinstance(outcome, pa.RecordBatch):
            rows += [_plain(row) for row in outcome.to_pylist()]
    text = json.dumps(rows, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what a library or a processor may change in the last digits."""
    if "audio" in row:
        samples = decode(row["audio"]["bytes"]).samples
        row["audio"] = [len(samples), [round(float(one), -2) for one in samples[::1000, 0]]]
    return {
        name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()
    }


@pytest.mark.parametrize(
    ("stage", "make"),
    [
        ("plan", lambda: [planned().to_batches()[0]]),
        ("normalise", normalised),
        ("label", labelled),
        ("score", scored),
        ("index", indexed),
        ("filter", filtered),
    ],
)
def test_a_stage_means_what_its_version_says(stage: str, make: Any) -> None:
    found = (stage_named(stage).version, _digest(make()))
    assert found == GOLDEN[stage], (
        f"the stage {stage} makes something else than its version {GOLDEN[stage][0]} says:"
        " raise its version in its stage.py, then put what was found here"
    )


def test_every_row_of_the_fixture_is_somewhere() -> None:
    made = [one for outcome in normalised() for one in _ids(outcome)]
    assert sorted(made) == sorted(recordings())
    assert pa.Table.from_batches(
        [one for one in normalised() if isinstance(one, pa.RecordBatch)]
    ).schema.equals(NORMALISED)


def _ids(outcome: Outcome) -> list[str]:
    return [outcome.id] if isinstance(outcome, Rejected) else row_ids(outcome)
