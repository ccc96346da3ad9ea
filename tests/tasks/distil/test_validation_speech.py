"""The speech that selects a student's weights: whole sets, or samples over speakers."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.receipt import FileRef
from storage.store import Store
from tasks.distil.validation_speech import read_validation_speech, sampled

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


def read(store, files, num_windows, seed=0):
    speech = read_validation_speech(
        store, files, num_windows=num_windows, window_samples=WINDOW_SAMPLES, seed=seed
    )
    return {name: ids(batches) for name, batches in speech.items()}


def test_small_sets_are_whole_and_leave_their_share_to_larger_ones(store, row, normalised, put):
    files = [
        ("librispeech/dev-clean", put(normalised(*(row(f"u{n}") for n in range(20))), "u")),
        ("librispeech/dev-other", put(normalised(*(row(f"v{n}") for n in range(20))), "v")),
        ("tedlium/dev", put(normalised(row("w0"), row("w1")), "w")),
    ]
    found = read(store, files, 12)
    assert {name: len(of_set) for name, of_set in found.items()} == {
        "librispeech/dev-clean": 5,
        "librispeech/dev-other": 5,
        "tedlium/dev": 2,
    }
    assert sum(map(len, read(store, files, None).values())) == 42


def test_long_utterances_are_taken_and_count_as_several_windows(store, row, normalised, put):
    files = [
        ("tedlium/dev", put(normalised(row("u0"), row("u1", 3 * WINDOW_SAMPLES)), "u")),
        ("tedlium/dev", put(normalised(row("v0", WINDOW_SAMPLES)), "v")),
    ]
    assert read(store, files, 5) == {"tedlium/dev": ["u0", "u1", "v0"]}
    assert {len(read(store, files, 3, seed)["tedlium/dev"]) for seed in range(20)} == {1, 2, 3}
    assert {len(read(store, files, 1, seed)["tedlium/dev"]) for seed in range(20)} == {1}


def test_a_sample_has_as_many_speakers_as_possible() -> None:
    speakers = ["many"] * 50 + ["few"] * 2 + [f"once {n}" for n in range(7)]
    for seed in range(5):
        chosen = sampled(speakers, [1] * len(speakers), 12, seed)
        present = [one for one, is_chosen in zip(speakers, chosen, strict=True) if is_chosen]
        assert len(present) == 12
        assert set(present) == set(speakers)
        assert present.count("few") == 2


def test_a_sample_depends_on_the_seed_alone() -> None:
    speakers = [f"s{n % 7}" for n in range(100)]
    samples = [sampled(speakers, [1] * 100, 20, seed).tolist() for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]
