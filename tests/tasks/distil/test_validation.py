"""The speech that selects a student's weights, and its word error rate."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.schema import RunConfig
from storage.receipt import FileRef
from storage.store import Store
from tasks.distil.validation import read_validation_speech, validate
from tests.tasks.whisper.fake_engine import FakeEngine, decoded

WINDOW_SAMPLES = 32_000


@pytest.fixture
def put(store: Store):
    """Stores normalised rows as a shard."""

    def make(batch: pa.RecordBatch, name: str) -> FileRef:
        with store.sink("normalise") as sink:
            pq.write_table(pa.Table.from_batches([batch]), sink, row_group_size=5)
            return store.keep(sink, f"normalise/{name}.parquet")

    return make


def ids(batches) -> list[str]:
    return [name for batch in batches for name in batch.column("id").to_pylist()]


@pytest.mark.parametrize(
    ("num_windows", "expected"),
    [
        (1, ["u0"]),
        (2, ["u0", "u1"]),
        (3, ["u0", "u1"]),
        (4, ["u0", "u1"]),
        (5, ["u0", "u1", "u2"]),
        (7, ["u0", "u1", "u2", "u3", "v0"]),
        (99, ["u0", "u1", "u2", "u3", "v0", "v1"]),
    ],
)
def test_long_utterances_are_taken_and_count_as_several_windows(
    store, row, normalised, put, num_windows, expected
):
    files = [
        put(normalised(row("u0"), row("u1", 3 * WINDOW_SAMPLES), row("u2"), row("u3")), "u"),
        put(normalised(row("v0", WINDOW_SAMPLES), row("v1")), "v"),
    ]
    speech = read_validation_speech(
        store,
        [("librispeech", file) for file in files],
        num_windows=num_windows,
        window_samples=WINDOW_SAMPLES,
    )
    assert ids(speech["librispeech"]) == expected


def test_each_corpus_has_an_equal_share(store, row, normalised, put):
    many = put(normalised(*(row(f"u{index}") for index in range(20))), "many")
    few = put(normalised(row("v0"), row("v1")), "few")
    speech = read_validation_speech(
        store,
        [("librispeech", many), ("tedlium", few)],
        num_windows=13,
        window_samples=WINDOW_SAMPLES,
    )
    assert ids(speech["librispeech"]) == [f"u{index}" for index in range(7)]
    assert ids(speech["tedlium"]) == ["v0", "v1"]


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return RunConfig.model_validate(
        {
            "root": str(tmp_path),
            "corpora": {"librispeech": {}, "tedlium": {}},
            "label": {"teacher": {"path": "unused"}},
            "publish": {"name": "x"},
        }
    )


def test_the_rate_is_the_mean_over_corpora_of_all_lengths(config, row, normalised):
    speech = {
        "librispeech": [
            normalised(
                row("right"),
                row("long", 3 * WINDOW_SAMPLES, raw_text="BOAT BOAT BOAT BOAT"),
                row("hummed", raw_text="hmm"),
            )
        ],
        "tedlium": [normalised(row("wrong"))],
    }

    def transcribe(window, temperature):
        name = window.id.split("@")[0]
        return decoded({"right": "the boat was small", "long": "boat"}.get(name, "a b c d"))

    found = validate(config, FakeEngine(transcribe), speech)
    num_windows = 4  # cut at pauses, which are earlier than the end of a window
    assert found.wer_percent == (0.0 + (4 - num_windows) + 100.0) / 2
    assert found.num_utterances == 3
    assert found.excluded == {"empty_reference": 1}


def test_nothing_to_measure_has_no_rate(config, row, normalised):
    found = validate(config, FakeEngine(), {"librispeech": [normalised(row("a", raw_text="hmm"))]})
    assert math.isnan(found.wer_percent)
    assert (found.num_utterances, found.excluded) == (0, {"empty_reference": 1})
