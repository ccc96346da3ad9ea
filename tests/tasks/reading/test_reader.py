"""Examples joined by id from real files, and a stream that resumes at exactly the next example."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.errors import IntegrityError, UserError
from storage.receipt import FileRef
from tasks.audio import encode_flac
from tasks.filter.schema import KEPT
from tasks.label.schema import LABELS
from tasks.normalise.schema import NORMALISED
from tasks.reading.join import read_entry
from tasks.reading.reader import ManifestReader
from tasks.whisper.tokens import SpecialTokens

# text 0-9, end 10, start 11, languages 12-13, translate 14, transcribe 15, none 16, times from 17
SPECIAL = SpecialTokens(end_id=10, start_id=11, translate_id=14, no_timestamps_id=16)


@dataclass(frozen=True)
class Entry:
    corpus: str
    files: Mapping[str, FileRef]
    num_windows: int


class Files:
    """Fetches by path and counts open files."""

    def __init__(self) -> None:
        self.num_open = 0
        self.most_open = 0

    @contextmanager
    def fetch(self, ref: FileRef) -> Iterator[Path]:
        self.num_open += 1
        self.most_open = max(self.most_open, self.num_open)
        try:
            yield Path(ref.path)
        finally:
            self.num_open -= 1


def _pcm(utterance: int) -> np.ndarray:
    return np.random.default_rng(utterance).integers(-9000, 9000, 100 + utterance).astype(np.int16)


def _write(path: Path, rows: list[dict], schema: pa.Schema, row_group_size: int = 3) -> FileRef:
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, path, row_group_size=row_group_size)
    return FileRef(path=str(path), sha256="0" * 64, size_bytes=path.stat().st_size)


def _write_entry(
    folder: Path, windows: dict[str, list[int]], dropped: set[str] = frozenset(), seed: int = 0
) -> Entry:
    """The files of a shard, each with its rows in its own random order."""
    shuffled = np.random.default_rng(seed).permutation
    utterances = [utterance for members in windows.values() for utterance in members]
    audio = [
        {
            "id": f"{folder.name}-{utterance}",
            "corpus": "c",
            "split": "train",
            "recording_id": "r",
            "speaker_id": None,
            "start_s": 0.0,
            "duration_s": 0.0,
            "audio": {"bytes": encode_flac(_pcm(utterance)), "path": "x.flac"},
            "raw_text": "",
        }
        for utterance in shuffled(utterances).tolist()
    ]
    labels = []
    for window in shuffled(list(windows)).tolist():
        lengths = [len(_pcm(utterance)) for utterance in windows[window]]
        labels.append(
            {
                "window_id": window,
                "utterance_ids": [f"{folder.name}-{utterance}" for utterance in windows[window]],
                "offsets_s": [sum(lengths[:index]) / 16_000 for index in range(len(lengths))],
                "duration_s": sum(lengths) / 16_000,
                "pseudo_text": "",
                "pseudo_tokens": [11, 12, 15, 17, *(windows[window][0] % 10,) * 2, 18, 10],
                "previous_window_id": None,
                "avg_logprob": 0.0,
                "no_speech_prob": 0.0,
                "compression_ratio": 1.0,
                "num_segments": 1,
                "temperature": 0.0,
                "language": "en",
            }
        )
    kept = [
        {"window_id": window, "utterance_ids": [], "duration_s": 0.0}
        for window in shuffled(list(windows)).tolist()
        if window not in dropped
    ]
    folder.mkdir()
    return Entry(
        corpus="c",
        files={
            "normalise": _write(folder / "audio.parquet", audio, NORMALISED),
            "label": _write(folder / "label.parquet", labels, LABELS),
            "filter": _write(folder / "kept.parquet", kept, KEPT),
        },
        num_windows=len(kept),
    )


def _windows(name: str, num_windows: int) -> dict[str, list[int]]:
    return {f"{name}{index}": [3 * index, 3 * index + 1, 3 * index + 2][: 1 + index % 3]
            for index in range(num_windows)}  # fmt: skip


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    sizes = {"a": 7, "b": 1, "c": 12}
    return [_write_entry(tmp_path / name, _windows(name, size)) for name, size in sizes.items()]


def _reader(entries, files=None, **options) -> ManifestReader:
    options = {"seed": 0, "num_open": 2, "num_buffered": 4} | options
    return ManifestReader(entries, (files or Files()).fetch, SPECIAL, **options)


def _paths(entry: Entry) -> tuple[Path, Path, Path]:
    audio, label, kept = (Path(file.path) for file in entry.files.values())
    return audio, label, kept


def test_rows_are_joined_by_id(tmp_path) -> None:
    windows = _windows("w", 9)
    entry = _write_entry(tmp_path / "e", windows, dropped={"w2", "w5"}, seed=3)
    examples = list(read_entry(*_paths(entry)))
    assert {example.window_id for example in examples} == set(windows) - {"w2", "w5"}
    assert len(examples) == 7
    for example in examples:
        members = windows[example.window_id]
        spoken = np.concatenate([_pcm(utterance) for utterance in members])
        assert np.array_equal(example.samples(), spoken.astype(np.float32) / 32768)
        assert example.tokens == (11, 12, 15, 17, members[0] % 10, members[0] % 10, 18, 10)


def test_one_row_group_is_enough_for_the_first_example(tmp_path, monkeypatch) -> None:
    entry = _write_entry(tmp_path / "e", {f"w{n}": [n] for n in range(30)})
    groups: list[int] = []
    read = pq.ParquetFile.read_row_group

    def counted(self, group, *args, **options):
        groups.append(group)
        return read(self, group, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    next(read_entry(*_paths(entry)))
    assert groups == [0]


def test_a_kept_window_without_label_is_refused(tmp_path) -> None:
    entry = _write_entry(tmp_path / "e", _windows("w", 3))
    other = _write_entry(tmp_path / "f", _windows("v", 4))
    audio, label, _ = _paths(entry)
    with pytest.raises(IntegrityError, match="4 of 4 kept windows are not in the labels"):
        list(read_entry(audio, label, _paths(other)[2]))


def test_an_utterance_without_audio_is_refused(tmp_path) -> None:
    entry = _write_entry(tmp_path / "e", _windows("w", 3))
    other = _write_entry(tmp_path / "f", _windows("w", 4))
    _, label, kept = _paths(entry)
    with pytest.raises(IntegrityError, match=r"utterance e-\d+ of the kept window w\d is not in"):
        list(read_entry(_paths(other)[0], label, kept))


def test_each_epoch_yields_each_example_once_in_its_own_order(entries) -> None:
    ids = [example.window_id for example in islice(_reader(entries).stream(), 60)]
    first, second, third = ids[:20], ids[20:40], ids[40:]
    assert Counter(first) == Counter(second) == Counter(third)
    assert set(Counter(first).values()) == {1}
    assert first != second != third


@pytest.mark.parametrize("num_buffered", [1, 4, 100])
def test_a_stream_resumes_at_the_next_example(entries, num_buffered) -> None:
    reader = _reader(entries, timestamp_probability=0.5, num_buffered=num_buffered)
    whole = list(islice(reader.stream(), 50))
    for num_consumed in range(45):
        again = _reader(entries, timestamp_probability=0.5, num_buffered=num_buffered)
        assert list(islice(again.stream(num_consumed), 5)) == whole[num_consumed:][:5]


def test_the_order_depends_on_the_seed(entries) -> None:
    def ids(seed):
        return [example.window_id for example in islice(_reader(entries, seed=seed).stream(), 20)]

    assert ids(0) == ids(0)
    assert ids(0) != ids(1)


def test_timestamps_are_chosen_independently_in_each_epoch(entries) -> None:
    reader = _reader(entries, timestamp_probability=0.5)
    seen: dict[str, set[bool]] = {}
    num_timed = 0
    for example in islice(reader.stream(), 400):
        is_timed = SPECIAL.no_timestamps_id not in example.tokens
        num_timed += is_timed
        seen.setdefault(example.window_id, set()).add(is_timed)
        assert is_timed == any(map(SPECIAL.is_timestamp, example.tokens))
    assert all(choices == {True, False} for choices in seen.values())
    assert 140 < num_timed < 260


def _following(tmp_path: Path, dropped: set[str] = frozenset()) -> Entry:
    """Consecutive windows of one speaker."""
    entry = _write_entry(tmp_path / "e", _windows("w", 6), dropped)
    rows = pq.read_table(entry.files["label"].path).to_pylist()
    for row in rows:
        number = int(row["window_id"][1:])
        row["pseudo_text"] = f"text {number}"
        row["previous_window_id"] = f"w{number - 1}" if number else None
    _write(Path(entry.files["label"].path), rows, LABELS)
    return entry


def test_previous_text_is_that_of_the_window_before_if_kept(tmp_path) -> None:
    examples = read_entry(*_paths(_following(tmp_path, dropped={"w2"})))
    found = {example.window_id: example for example in examples}
    assert {name: example.previous_text for name, example in found.items()} == {
        "w0": None, "w1": "text 0", "w3": None, "w4": "text 3", "w5": "text 4"
    }  # fmt: skip
    assert found["w1"].previous_tokens == found["w0"].tokens
    assert found["w3"].previous_tokens is None


@pytest.mark.parametrize(
    ("probability", "low", "high"), [(0.0, 0, 0), (0.5, 200, 300), (1.0, 500, 500)]
)
def test_previous_text_has_its_probability(tmp_path, probability, low, high) -> None:
    reader = _reader([_following(tmp_path)], previous_text_probability=probability)
    examples = list(islice(reader.stream(), 600))
    assert low <= sum(example.previous_tokens is not None for example in examples) <= high
    assert list(islice(reader.stream(333), 100)) == examples[333:433]


def test_only_the_row_groups_of_chosen_windows_are_read(tmp_path, monkeypatch) -> None:
    entry = _write_entry(tmp_path / "e", {f"w{n}": [n] for n in range(30)})
    whole = list(read_entry(*_paths(entry)))
    groups: list[int] = []
    read = pq.ParquetFile.read_row_group

    def counted(self, group, *args, **options):
        groups.append(group)
        return read(self, group, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    assert list(read_entry(*_paths(entry), [4, 5, 28])) == [whole[4], whole[5], whole[28]]
    assert groups == [1, 9]


def test_files_are_released(entries) -> None:
    files = Files()
    stream = _reader(entries, files).stream()
    list(islice(stream, 50))
    assert files.num_open > 0
    stream.close()
    assert files.num_open == 0
    assert files.most_open <= 3 * len(entries)


def test_few_files_are_open_at_once(tmp_path) -> None:
    many = [_write_entry(tmp_path / f"n{n}", _windows(f"n{n}-", 3)) for n in range(12)]
    files = Files()
    stream = _reader(many, files, num_open=2, num_buffered=2).stream()
    assert len({example.window_id for example in islice(stream, 36)}) == 36
    assert files.most_open <= 3 * (2 + 1)


def test_buffered_windows_hold_no_files(tmp_path) -> None:
    many = [_write_entry(tmp_path / f"n{n}", _windows(f"n{n}-", 3)) for n in range(12)]
    files = Files()
    stream = _reader(many, files, num_open=2, num_buffered=1000).stream()
    assert len({example.window_id for example in islice(stream, 36)}) == 36
    assert files.most_open <= 3 * (2 + 1)


@pytest.mark.parametrize("difference", [1, -1])
def test_a_wrong_count_is_refused(tmp_path, difference) -> None:
    entry = _write_entry(tmp_path / "e", _windows("w", 4))
    wrong = Entry("c", entry.files, entry.num_windows + difference)
    expected = f"has 4 windows, the manifest states {wrong.num_windows}"
    with pytest.raises(IntegrityError, match=expected):
        list(islice(_reader([wrong]).stream(), 10))


def test_a_manifest_without_windows_is_refused() -> None:
    with pytest.raises(UserError, match="the 0 shards of the manifest have no kept window"):
        _reader([])
