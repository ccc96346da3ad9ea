"""Windows cut down to some utterances: audio, text, timestamps, previous text, from real files."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.errors import IntegrityError
from tasks.audio import encode_flac
from tasks.filter.schema import KEPT
from tasks.label.schema import LABELS
from tasks.normalise.schema import NORMALISED
from tasks.reading.cut import cut_tokens, kept_chunks
from tasks.reading.examples import Example
from tasks.reading.join import read_entry

# text 0-9, end 10, start 11, language 12, transcribe 13, no timestamps 14, times from 15 on
END, PROMPT, TIMELESS, ZERO = 10, [11, 12, 13], [11, 12, 13, 14], 15

LABEL: dict[str, Any] = {
    "utterance_ids": ["a", "b", "c"],
    "offsets_s": [0.0, 1.0, 2.5],
    "duration_s": 4.0,
}


def kept(names: str, spans: list[list[int]], zero: int | None, num_prompt: int) -> dict[str, Any]:
    cut = {"token_spans": spans, "num_prompt_tokens": num_prompt, "zero_time_id": zero}
    return {"utterance_ids": list(names), "cut": {**cut, "pseudo_text": " ".join(names)}}


def cut(label: dict[str, Any], row: dict[str, Any], tokens: list[int]) -> list[int]:
    return list(cut_tokens(tokens, kept_chunks(label, row), row["cut"]))


def test_tokens_of_dropped_utterances_are_removed() -> None:
    tokens = [*TIMELESS, 1, 2, 3, 4, 5, 6, END]
    row = kept("ac", [[4, 6], [8, 10]], None, 4)
    assert cut(LABEL, row, tokens) == [*TIMELESS, 1, 2, 5, 6, END]
    assert [(one.start_s, one.duration_s) for one in kept_chunks(LABEL, row)] == [(0, 1), (1, 1.5)]


def test_timestamps_are_shifted_to_the_new_window() -> None:
    # 0.1-0.9 a, 1.0-2.4 b, 2.6-4.0 c
    tokens = [*PROMPT, ZERO + 5, 1, ZERO + 45, ZERO + 50, 2, ZERO + 120, ZERO + 130, 3, ZERO + 200]
    row = kept("ac", [[4, 5], [10, 11]], ZERO, 3)
    assert cut(LABEL, row, [*tokens, END]) == [
        *PROMPT, ZERO + 5, 1, ZERO + 45, ZERO + 55, 3, ZERO + 125, END,
    ]  # fmt: skip


def test_a_cut_inside_a_segment_gets_the_bounds_of_the_utterance() -> None:
    tokens = [*PROMPT, ZERO, 1, 2, 3, ZERO + 200, END]
    row = kept("bc", [[5, 6], [6, 7]], ZERO, 3)
    assert cut(LABEL, row, tokens) == [
        *PROMPT, ZERO, 2, ZERO + 75, ZERO + 75, 3, ZERO + 150, END,
    ]  # fmt: skip


def test_a_pause_inside_an_utterance_stays() -> None:
    tokens = [
        *PROMPT,
        ZERO,
        1,
        ZERO + 20,
        ZERO + 55,
        2,
        ZERO + 70,
        ZERO + 90,
        3,
        ZERO + 120,
        4,
        END,
    ]
    row = kept("b", [[7, 11]], ZERO, 3)
    assert cut(LABEL, row, tokens) == [
        *PROMPT, ZERO + 5, 2, ZERO + 20, ZERO + 40, 3, ZERO + 70, END,
    ]  # fmt: skip


def test_timestamps_are_clipped_to_the_window() -> None:
    tokens = [*PROMPT, ZERO + 40, 1, ZERO + 60, END]  # across the boundary
    row = kept("b", [[4, 5]], ZERO, 3)
    assert cut(LABEL, row, tokens) == [*PROMPT, ZERO, 1, ZERO + 10, END]


def test_an_utterance_with_an_empty_label_has_no_timestamps() -> None:
    tokens = [*PROMPT, ZERO, 1, ZERO + 50, END]
    row = kept("ab", [[4, 5], [5, 5]], ZERO, 3)
    assert cut(LABEL, row, tokens) == [*PROMPT, ZERO, 1, ZERO + 50, END]


def test_a_label_without_an_end_token_stays_without() -> None:
    row = kept("a", [[4, 5]], None, 4)
    assert cut(LABEL, row, [*TIMELESS, 1, 2, 3]) == [*TIMELESS, 1]
    assert cut(LABEL, kept("a", [[0, 0]], None, 0), []) == []


def pcm(name: str) -> Any:
    seed = sum(name.encode())
    return np.random.default_rng(seed).integers(-9000, 9000, 800 + seed).astype(np.int16)


def write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> Path:
    empty = {pa.string(): "", pa.float64(): 0.0, pa.int32(): 0}
    filled = [
        {
            field.name: row.get(field.name, None if field.nullable else empty.get(field.type, []))
            for field in schema
        }
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(filled, schema=schema), path)
    return path


def entry(folder: Path, rows: list[dict[str, Any]]) -> tuple[Path, Path, Path]:
    """Three consecutive windows of one speaker, with two utterances each."""
    windows = [["a", "b"], ["c", "d"], ["e", "f"]]
    labels = []
    for place, names in enumerate(windows):
        first = len(pcm(names[0]))
        labels.append(
            {
                "window_id": f"w{place}",
                "utterance_ids": names,
                "offsets_s": [0.0, first / 16_000],
                "duration_s": (first + len(pcm(names[1]))) / 16_000,
                "pseudo_text": " ".join(names),
                "pseudo_tokens": [*TIMELESS, place, place + 5, END],
                "previous_window_id": f"w{place - 1}" if place else None,
            }
        )
    audio = [
        {"id": name, "audio": {"bytes": encode_flac(pcm(name)), "path": f"{name}.flac"}}
        for names in windows
        for name in names
    ]
    return (
        write(folder / "audio.parquet", audio, NORMALISED),
        write(folder / "label.parquet", labels, LABELS),
        write(folder / "kept.parquet", rows, KEPT),
    )


def whole(place: int, names: str) -> dict[str, Any]:
    return {"window_id": f"w{place}", "utterance_ids": list(names), "duration_s": 1.0}


def test_the_reader_yields_the_kept_audio_and_text(tmp_path: Path) -> None:
    seconds = len(pcm("d")) / 16_000
    left = {"window_id": "w1", "duration_s": seconds, **kept("d", [[5, 6]], None, 4)}
    examples: dict[str, Example] = {
        one.window_id: one
        for one in read_entry(*entry(tmp_path, [whole(0, "ab"), left, whole(2, "ef")]))
    }
    cut_down = examples["w1"]
    assert (cut_down.text, cut_down.tokens) == ("d", (*TIMELESS, 6, END))
    assert cut_down.duration_s == seconds
    assert np.array_equal(cut_down.samples() * 32768, pcm("d").astype(np.float32))
    assert [clip.offset_s for clip in cut_down.clips] == [0.0]
    both = np.concatenate([pcm("a"), pcm("b")]).astype(np.float32)
    assert np.array_equal(examples["w0"].samples() * 32768, both)


def test_a_cut_window_has_and_gives_no_previous_text(tmp_path: Path) -> None:
    rows = [whole(0, "ab"), whole(1, "cd"), whole(2, "ef")]
    linked = {one.window_id: one.previous_text for one in read_entry(*entry(tmp_path, rows))}
    assert linked == {"w0": None, "w1": "a b", "w2": "c d"}
    rows[1] = {"window_id": "w1", "duration_s": 0.1, **kept("d", [[5, 6]], None, 4)}
    broken = {one.window_id: one.previous_text for one in read_entry(*entry(tmp_path, rows))}
    assert broken == {"w0": None, "w1": None, "w2": None}


def test_a_cut_of_another_window_is_refused(tmp_path: Path) -> None:
    rows = [{"window_id": "w1", "duration_s": 0.1, **kept("x", [[5, 6]], None, 4)}]
    with pytest.raises(IntegrityError, match="w1 has the utterance 'x', which its label lacks"):
        list(read_entry(*entry(tmp_path, rows)))
