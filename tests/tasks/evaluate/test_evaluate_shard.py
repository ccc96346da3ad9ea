from collections import Counter

import pyarrow as pa

from configs.schema import Score
from storage.outcome import Rejected
from tasks.audio import decode_flac
from tasks.corpora.base import NoReference
from tasks.evaluate.long_form.pauses import cut_at_pauses
from tasks.evaluate.schema import MEASURED
from tasks.evaluate.shard import measure_shard
from tasks.text.comparison import normaliser
from tasks.whisper.engine import AudioWindow
from tasks.whisper.whisper import WhisperEngine
from tests.tasks.whisper.fake_engine import FakeEngine, decoded


def clean(raw_text):
    return NoReference("marked_as_noise") if raw_text == "IGNORE" else raw_text


def measured(batches, model, label_settings, batch_size=3, **options):
    engine = WhisperEngine(model, batch_size)
    outcomes = list(measure_shard(batches, engine, clean, label_settings, Score(), **options))
    tables = [one for one in outcomes if isinstance(one, pa.RecordBatch)]
    return (
        pa.Table.from_batches(tables, schema=MEASURED),
        [one for one in outcomes if isinstance(one, Rejected)],
    )


def transcribed(model, label_settings, samples):
    """The normalised transcript of a window by itself."""
    ((_, result),) = WhisperEngine(model, 1).transcribe([AudioWindow("a", samples)], label_settings)
    return normaliser("english")(result.text)


def samples_of(row):
    return decode_flac(row["audio"]["bytes"])


def test_each_utterance_is_transcribed_alone_with_label_settings(
    tiny_teacher, label_settings, row, normalised
):
    rows = [row(f"u{index}", 4_000 + index) for index in range(7)]
    table, rejected = measured([normalised(*rows)], tiny_teacher, label_settings)
    assert not rejected
    assert table.column("id").to_pylist() == [f"u{index}" for index in range(7)]
    assert table.column("duration_s").to_pylist()[1] == 4_001 / 16_000
    for one, hypothesis in zip(rows, table.column("hypothesis").to_pylist(), strict=True):
        assert hypothesis == transcribed(tiny_teacher, label_settings, samples_of(one))


def test_evaluation_uses_no_timestamps(tiny_teacher, label_settings, row, normalised):
    batch = normalised(row("a"), row("b"))
    with_timestamps = label_settings.model_copy(update={"timestamps": True})
    found, _ = measured([batch], tiny_teacher, with_timestamps)
    assert found == measured([batch], tiny_teacher, label_settings)[0]


def test_errors_belong_to_their_row(tiny_teacher, label_settings, row, normalised):
    table, _ = measured([normalised(row("a"), row("b"))], tiny_teacher, label_settings)
    for one in table.to_pylist():
        assert one["reference"] == "the boat was small"
        assert one["hits"] + one["substitutions"] + one["deletions"] == 4
        num_hypothesis_words = one["hits"] + one["substitutions"] + one["insertions"]
        assert num_hypothesis_words == len(one["hypothesis"].split())


def test_unmeasurable_utterances_are_rejected_with_a_reason(
    tiny_teacher, label_settings, row, normalised
):
    """Defects 9 and 14: neither is truncated or counted."""
    batch = normalised(
        row("marked", raw_text="IGNORE"),
        row("hummed", raw_text="uh, hmm"),
        row("broken", audio={"bytes": b"?", "path": "broken.flac"}),
        row("full", 32_000),
    )
    table, rejected = measured([batch], tiny_teacher, label_settings)
    assert table.column("id").to_pylist() == ["full"]
    assert [(one.id, one.outcome, one.reason) for one in rejected] == [
        ("marked", "dropped", "marked_as_noise"),
        ("hummed", "dropped", "empty_reference"),
        ("broken", "quarantined", "unreadable_audio"),
    ]


def test_an_utterance_longer_than_a_window_is_transcribed_in_segments(
    tiny_teacher, label_settings, row, normalised
):
    """Regardless of how segments of neighbouring utterances share batches."""
    rows = [row("a", 70_001), row("hummed", 5, raw_text="hmm"), row("b"), row("c", 99_999)]
    batch = normalised(*rows)
    table, rejected = measured([batch], tiny_teacher, label_settings)
    assert [one.reason for one in rejected] == ["empty_reference"]
    assert table.column("id").to_pylist() == ["a", "b", "c"]
    assert table.column("duration_s").to_pylist()[0] == 70_001 / 16_000
    kept = [samples_of(one) for one in rows if one["id"] != "hummed"]
    for samples, hypothesis in zip(kept, table.column("hypothesis").to_pylist(), strict=True):
        texts = [
            transcribed(tiny_teacher, label_settings, samples[start:end])
            for start, end in cut_at_pauses(samples, tiny_teacher.window_samples)
        ]
        assert hypothesis == normaliser("english")(" ".join(texts))
    for batch_size in (1, 2, 16):
        again, _ = measured([batch], tiny_teacher, label_settings, batch_size)
        assert again == table


def test_every_length_is_measured_completely(label_settings, row, normalised):
    lengths = [1, 100, 31_999, 32_000, 32_001, 64_000, 64_001, 200_000, 31_000]
    batch = normalised(*(row(f"u{index}", length) for index, length in enumerate(lengths)))
    num_samples = Counter()

    def transcribe(window, temperature):
        num_samples[window.id.split("@")[0]] += len(window.samples)
        return decoded("boat")

    engine = FakeEngine(transcribe)
    (found,) = measure_shard([batch], engine, clean, label_settings, Score())
    assert found.column("id").to_pylist() == [f"u{index}" for index in range(len(lengths))]
    assert [num_samples[f"u{index}"] for index in range(len(lengths))] == lengths


def test_long_recordings_are_decoded_one_at_a_time(label_settings, row, normalised):
    """Short utterances are decoded ahead, but a decoded hour has 230 MB."""
    drawn = []

    def batches():
        for index in range(40):
            drawn.append(index)
            yield normalised(row(f"u{index}", 32_000 * 40))

    num_drawn = []

    def transcribe(window, temperature):
        num_drawn.append(len(drawn) - int(window.id[1:].split("@")[0]))
        return decoded("boat")

    list(measure_shard(batches(), FakeEngine(transcribe), clean, label_settings, Score()))
    # the windows ahead, of this recording and the next; one decoded, one in work, one to come
    assert max(num_drawn) <= 5


def test_evaluation_has_no_temperature_fallback(label_settings, row, normalised):
    """Teacher and student are compared by their greedy transcripts."""
    engine = FakeEngine(lambda window, temperature: decoded("the boat", has_end=False))
    (batch,) = measure_shard([normalised(row("a"))], engine, clean, label_settings, Score())
    assert batch.column("hypothesis").to_pylist() == ["the boat"]
    assert {temperature for temperature, _ in engine.taken} == {0.0}
