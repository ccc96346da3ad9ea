import threading

import pyarrow as pa
import pytest

from storage.outcome import Rejected
from storage.schema import row_ids
from tasks.label.schema import LABELS
from tasks.label.shard import label_shard
from tasks.whisper.streaming import NUM_AHEAD
from tasks.whisper.whisper import WhisperEngine
from tests.tasks.whisper.fake_engine import FakeEngine, decoded

FULL_WINDOW = 32_000


def labelled(batches, teacher, settings, batch_size=4):
    outcomes = list(label_shard(batches, WhisperEngine(teacher, batch_size), settings))
    tables = [one for one in outcomes if isinstance(one, pa.RecordBatch)]
    return (
        pa.Table.from_batches(tables, schema=LABELS),
        [one for one in outcomes if isinstance(one, Rejected)],
    )


def test_windows_have_the_order_of_the_shard(tiny_teacher, label_settings, row, normalised):
    batches = [
        normalised(row("a", 10_000), row("b", 20_000), row("c")),
        normalised(row("d", speaker_id="bob"), row("e", speaker_id="bob")),
    ]
    table, rejected = labelled(batches, tiny_teacher, label_settings)
    assert not rejected
    assert table.column("window_id").to_pylist() == ["a+1", "c", "d+1"]
    assert table.column("utterance_ids").to_pylist() == [["a", "b"], ["c"], ["d", "e"]]
    assert table.column("offsets_s").to_pylist() == [[0.0, 0.625], [0.0], [0.0, 0.5]]
    assert table.column("duration_s").to_pylist() == [1.875, 0.5, 1.0]
    assert table.column("previous_window_id").to_pylist() == [None, "a+1", None]
    assert set(table.column("language").to_pylist()) == {"en"}


def test_tokens_include_the_prompt(tiny_teacher, label_settings, row, normalised):
    """Defect 13."""
    table, _ = labelled([normalised(row("a"))], tiny_teacher, label_settings)
    prompt = tiny_teacher.tokenizer.convert_tokens_to_ids(
        ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    )
    assert table.column("pseudo_tokens").to_pylist()[0][:4] == prompt


def test_a_full_window_is_kept_and_a_longer_one_dropped(
    tiny_teacher, label_settings, row, normalised
):
    """Defects 8 and 9."""
    batches = [normalised(row("full", FULL_WINDOW), row("over", FULL_WINDOW + 1))]
    table, rejected = labelled(batches, tiny_teacher, label_settings)
    assert row_ids(table) == ["full"]
    assert [(one.id, one.outcome, one.reason) for one in rejected] == [
        ("over", "dropped", "longer_than_window")
    ]


@pytest.mark.parametrize("data", [b"not audio", b"", None])
def test_unreadable_audio_is_quarantined_and_the_rest_labelled(
    tiny_teacher, label_settings, row, normalised, data
):
    broken = row("b", audio={"bytes": data, "path": "b.flac"})
    table, rejected = labelled(
        [normalised(row("a"), broken, row("c"))], tiny_teacher, label_settings
    )
    assert row_ids(table) == ["a", "c"]
    assert [(one.id, one.outcome, one.reason) for one in rejected] == [
        ("b", "quarantined", "unreadable_audio")
    ]


def test_truncated_audio_is_quarantined(tiny_teacher, label_settings, row, normalised):
    whole = row("b", 16_000)
    cut = {"bytes": whole["audio"]["bytes"][:9_000], "path": "b.flac"}
    _, rejected = labelled([normalised({**whole, "audio": cut})], tiny_teacher, label_settings)
    assert [one.reason for one in rejected] == ["unreadable_audio"]


def test_tokens_do_not_depend_on_batch_sizes(tiny_teacher, label_settings, row, normalised):
    rows = [row(f"u{index}", 12_000, speaker_id=None) for index in range(5)]
    whole, _ = labelled([normalised(*rows)], tiny_teacher, label_settings)
    pieces, _ = labelled([normalised(one) for one in rows], tiny_teacher, label_settings, 2)
    columns = ["window_id", "pseudo_tokens", "pseudo_text"]
    assert pieces.select(columns).to_pydict() == whole.select(columns).to_pydict()


def test_reading_ahead_is_bounded(label_settings, row, normalised):
    """A shard of any length needs only the memory of the utterances read ahead."""
    read = []

    def batches():
        for index in range(300):
            read.append(index)
            yield normalised(row(f"u{index}", 20_000))

    outcomes = label_shard(batches(), FakeEngine(num_slots=2), label_settings)
    assert next(outcomes).num_rows == 64
    assert len(read) < 64 + 3 * NUM_AHEAD
    assert sum(batch.num_rows for batch in outcomes) == 300 - 64


def test_closing_the_generator_ends_the_threads(label_settings, row, normalised):
    before = threading.active_count()
    batches = (normalised(row(f"u{index}", 20_000)) for index in range(300))
    outcomes = label_shard(batches, FakeEngine(), label_settings)
    next(outcomes)
    assert threading.active_count() > before
    outcomes.close()
    assert threading.active_count() == before


def test_labels_store_the_temperature_and_flags_of_a_fallback(label_settings, row, normalised):
    def transcribe(window, temperature):
        if window.id == "loop":
            return decoded("no " * 200, has_end=temperature > 0.7)
        return decoded(
            "good", avg_logprob=-3.0 if window.id == "guess" and not temperature else -0.2
        )

    rows = [row(name, speaker_id=name) for name in ("good", "loop", "guess")]
    (batch,) = label_shard([normalised(*rows)], FakeEngine(transcribe), label_settings)
    found = [(one["window_id"], one["temperature"], one["flags"]) for one in batch.to_pylist()]
    assert found == [
        ("good", 0.0, []),
        ("loop", 1.0, ["compression_ratio"]),
        ("guess", 0.2, []),
    ]
    assert batch.schema.equals(LABELS)


def test_an_empty_shard_has_no_labels(label_settings):
    assert list(label_shard([], FakeEngine(), label_settings)) == []
