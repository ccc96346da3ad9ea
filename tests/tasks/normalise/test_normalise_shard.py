"""Planned segments become FLAC, cut to the sample; each row is kept or rejected with a reason."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.schema import Normalise
from storage.commit import Commit
from storage.errors import IntegrityError
from storage.outcome import Rejected
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.stage import Place
from storage.store import Store
from tasks.audio import decode
from tasks.download.files import AudioPlace
from tasks.normalise.schema import NORMALISED
from tasks.normalise.shard import normalise_shard
from tasks.normalise.stage import NORMALISE
from tasks.plan.schema import PLAN
from tests.builders import Pcm, encoded, flac, noise, sine, sphere

KEY = ShardKey("corpus", "train", 7)


class Files:
    """Concatenated audio files in one stored file, counting the reads of each."""

    def __init__(self, **contents: bytes) -> None:
        self.reads: Counter[str] = Counter()
        self._contents = contents
        self._places: dict[str, tuple[int, int]] = {}
        offset = 512
        for name, content in contents.items():
            self._places[name] = (offset, len(content))
            offset += len(content)

    def read(self, place: AudioPlace) -> bytes:
        assert place.file == "raw/all.tar"
        [name] = [name for name, at in self._places.items() if at == place[1:3]]
        self.reads[name] += 1
        return self._contents[name]

    def row(
        self, name: str, start_s: float = 0.0, end_s: float | None = None, **changes: Any
    ) -> dict[str, Any]:
        """A planned segment of a file."""
        offset, size = self._places[name]
        return {
            "shard": 7,
            "id": f"{name}-{start_s}-{end_s}",
            "recording_id": name,
            "speaker_id": f"speaker of {name}",
            "file": "raw/all.tar",
            "offset": offset,
            "size": size,
            "column": None,
            "row": None,
            "channel": 0,
            "start_s": start_s,
            "end_s": end_s,
            "pieces_s": None,
            "raw_text": f"TEXT OF {name}",
            **changes,
        }

    def outcomes(
        self, *rows: dict[str, Any], limits_duration: bool = True, **settings: float
    ) -> list[pa.RecordBatch | Rejected]:
        segments = pa.Table.from_pylist(list(rows), schema=PLAN)
        return list(
            normalise_shard(
                segments, self.read, KEY, Normalise(**settings), limits_duration=limits_duration
            )
        )

    def normalised(self, *rows: dict[str, Any], **settings: Any) -> dict[str, dict[str, Any]]:
        """The utterances that come out, by id."""
        found = {}
        for outcome in self.outcomes(*rows, **settings):
            if isinstance(outcome, pa.RecordBatch):
                assert outcome.schema.equals(NORMALISED, check_metadata=True)
                found |= {row["id"]: row for row in outcome.to_pylist()}
        return found

    def rejected(self, *rows: dict[str, Any], **settings: Any) -> dict[str, tuple[str, str]]:
        """What does not come out: outcome and reason by id."""
        outcomes = self.outcomes(*rows, **settings)
        return {o.id: (o.outcome, o.reason) for o in outcomes if isinstance(o, Rejected)}


def samples_of(row: dict[str, Any]) -> Pcm:
    audio = decode(row["audio"]["bytes"])
    assert audio.rate_hz == 16_000
    assert audio.samples.shape[1] == 1
    return audio.samples[:, 0]


def test_an_utterance_has_all_fields_of_the_schema() -> None:
    files = Files(talk=flac(noise(32_000)))
    [row] = files.normalised(files.row("talk", 0.5, 1.25)).values()
    audio = row.pop("audio")
    assert audio["path"] == "talk-0.5-1.25.flac"
    assert audio["bytes"].startswith(b"fLaC")
    assert row == {
        "id": "talk-0.5-1.25",
        "corpus": "corpus",
        "split": "train",
        "recording_id": "talk",
        "speaker_id": "speaker of talk",
        "start_s": 0.5,
        "duration_s": 0.75,
        "raw_text": "TEXT OF talk",
    }


def test_segments_are_cut_to_the_sample() -> None:
    talk = noise(16_000 * 4)
    files = Files(talk=sphere(talk))
    rows = files.normalised(
        files.row("talk", 0.0, 1.0), files.row("talk", 1.00007, 2.5), files.row("talk", 3.0)
    )
    stretches = [(0, 16_000), (16_001, 40_000), (48_000, 64_000)]
    for row, (first, last) in zip(rows.values(), stretches, strict=True):
        assert np.array_equal(samples_of(row), talk[first:last, 0])
        assert row["duration_s"] == (last - first) / 16_000


def test_a_whole_file_in_the_target_format_is_not_encoded_again() -> None:
    content = flac(noise(16_000))
    files = Files(talk=content)
    [row] = files.normalised(files.row("talk")).values()
    assert row["audio"]["bytes"] == content


@pytest.mark.parametrize(
    "content",
    [
        encoded(noise(16_000), "WAV", "PCM_16"),
        encoded(noise(16_000), "FLAC", "PCM_24"),
        encoded(noise(16_000, num_channels=2), "FLAC", "PCM_16"),
    ],
    ids=["wav", "24 bit", "stereo"],
)
def test_a_whole_file_in_another_format_becomes_16_bit_mono_flac(content: bytes) -> None:
    files = Files(talk=content)
    [row] = files.normalised(files.row("talk")).values()
    assert row["audio"]["bytes"] != content
    assert np.array_equal(samples_of(row), decode(content).samples[:, 0])
    assert row["duration_s"] == 1.0


def test_the_sides_of_a_call_become_utterances_at_16_khz() -> None:
    sides = [sine(2.0, rate_hz=8_000, frequency_hz=hz) for hz in (300.0, 1_000.0)]
    files = Files(call=sphere(np.stack(sides, axis=1), rate_hz=8_000))
    rows = files.normalised(
        files.row("call", 0.5, 1.5, id="a"), files.row("call", 0.5, 1.5, id="b", channel=1)
    )
    for row_id, frequency_hz in [("a", 300), ("b", 1_000)]:
        samples = samples_of(rows[row_id])
        assert len(samples) == 16_000
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(16_000)))
        assert spectrum.argmax() == frequency_hz
        others = np.delete(spectrum, range(frequency_hz - 20, frequency_hz + 20))
        assert others.max() < spectrum.max() / 1_000
        assert np.abs(samples[1_000:-1_000]).max() == pytest.approx(32767 * 0.5, rel=0.01)


def test_resampling_is_deterministic() -> None:
    files = Files(talk=encoded(noise(44_100), "WAV", "PCM_16", rate_hz=44_100))
    made = [files.normalised(files.row("talk")) for _ in range(3)]
    assert made[0] == made[1] == made[2]
    [row] = made[0].values()
    assert row["duration_s"] == 1.0


def test_a_recording_is_read_once_for_all_its_segments() -> None:
    files = Files(one=sphere(noise(160_000)), two=flac(noise(160_000)))
    rows = [files.row(name, start, start + 1.0) for name in ("one", "two") for start in range(9)]
    assert len(files.normalised(*rows)) == 18
    assert files.reads == {"one": 1, "two": 1}


def test_an_unreadable_file_quarantines_only_its_own_segments() -> None:
    torn = bytearray(flac(noise(32_000)))
    files = Files(good=flac(noise(32_000)), torn=bytes(torn[: len(torn) // 2]), none=b"")
    rows = [
        files.row(name, start, start + 0.5)
        for name in ("good", "torn", "none")
        for start in (0.0, 1.0)
    ]
    assert list(files.normalised(*rows)) == ["good-0.0-0.5", "good-1.0-1.5"]
    unreadable = ("quarantined", "unreadable_audio")
    assert files.rejected(*rows) == {row["id"]: unreadable for row in rows[2:]}


def test_the_detail_of_an_unreadable_file_is_deterministic() -> None:
    files = Files(none=b"no audio at all")
    row = files.row("none")
    assert files.outcomes(row) == files.outcomes(row)


@pytest.mark.parametrize(
    ("start_s", "end_s", "reason"),
    [
        (0.0, 1.0, None),
        (0.0, 2.0, None),
        (0.0, 2.01, ("dropped", "too_long")),
        (1.0, 1.5, None),
        (1.0, 1.49, ("dropped", "too_short")),
        (1.0, 1.0, ("dropped", "too_short")),
        (3.5, 4.0, None),
        (3.0, 4.09, None),
        (3.0, 4.2, ("quarantined", "beyond_the_end")),
        (9.0, 9.6, ("quarantined", "beyond_the_end")),
        (9.0, None, ("dropped", "too_short")),
    ],
)
def test_a_segment_must_have_an_allowed_duration_and_be_inside(
    start_s: float, end_s: float | None, reason: tuple[str, str] | None
) -> None:
    files = Files(talk=flac(noise(64_000)))
    row = files.row("talk", start_s, end_s)
    found = files.rejected(row, min_duration_s=0.5, max_duration_s=2.0)
    assert found == ({row["id"]: reason} if reason else {})


def test_without_limits_only_a_segment_without_samples_is_dropped() -> None:
    files = Files(talk=flac(noise(64_000)))
    rows = [
        files.row("talk", 0.0, 4.0),
        files.row("talk", 1.0, 1.0 + 1 / 16_000),
        files.row("talk", 1.0, 1.0),
        files.row("talk", 3.0, 4.2),
    ]
    limits = {"min_duration_s": 0.5, "max_duration_s": 2.0}
    assert files.rejected(*rows, limits_duration=False, **limits) == {
        rows[2]["id"]: ("dropped", "too_short"),
        rows[3]["id"]: ("quarantined", "beyond_the_end"),
    }
    found = files.normalised(*rows, limits_duration=False, **limits)
    assert [row["duration_s"] for row in found.values()] == [4.0, 1 / 16_000]


def test_an_end_slightly_after_the_audio_is_accepted() -> None:
    files = Files(talk=flac(noise(64_000)))
    [row] = files.normalised(files.row("talk", 3.0, 4.05)).values()
    assert row["duration_s"] == 1.0


def test_a_missing_channel_is_quarantined() -> None:
    files = Files(talk=flac(noise(32_000)))
    rows = [files.row("talk", channel=0, id="a"), files.row("talk", channel=1, id="b")]
    assert files.rejected(*rows) == {"b": ("quarantined", "no_such_channel")}
    assert list(files.normalised(*rows)) == ["a"]


def test_a_speaker_may_be_unknown() -> None:
    files = Files(talk=flac(noise(16_000)))
    [row] = files.normalised(files.row("talk", speaker_id=None)).values()
    assert row["speaker_id"] is None


CommitShard = Callable[..., Receipt]


@pytest.fixture
def committed(store: Store) -> Receipt:
    """A stored shard of nine utterances of 3.5 MB each."""
    content = flac(noise(16_000 * 120))
    files = Files(talk=content)
    rows = [files.row("talk", id=f"u{number}") for number in range(9)]
    segments = pa.Table.from_pylist(rows, schema=PLAN)
    return Commit(
        store=store,
        table=NORMALISE.table,
        place=Place(stage="normalise", fingerprint="f00d", key=KEY),
        sources=("a" * 64,),
        ids_in=[row["id"] for row in rows],
        max_quarantined_percent=0,
    )(normalise_shard(segments, files.read, KEY, Normalise(max_duration_s=200)))


def test_a_stored_shard_has_row_groups_of_about_16_mb(store: Store, committed: Receipt) -> None:
    with store.fetch(committed.output) as path:
        metadata = pq.ParquetFile(path).metadata
    sizes = [metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)]
    assert len(sizes) == 2
    assert 16 << 20 <= sizes[0] < 20 << 20
    assert committed.hours == pytest.approx(9 * 120 / 3600)


def test_datasets_reads_a_stored_shard(store: Store, committed: Receipt, tmp_path: Path) -> None:
    from datasets import Audio, load_dataset

    with store.fetch(committed.output) as path:
        rows = load_dataset(
            "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
        )
    assert rows.features["audio"] == Audio(sampling_rate=16_000, decode=False)
    assert rows.column_names == NORMALISED.names
    assert rows["id"][:2] == ["u0", "u1"]
    audio = rows[8]["audio"]
    assert audio["path"] == "u8.flac"
    assert np.array_equal(decode(audio["bytes"]).samples, noise(16_000 * 120))


def test_the_features_for_datasets_name_every_column() -> None:
    features = json.loads(NORMALISED.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == NORMALISED.names


def test_a_damaged_stored_file_fails_the_shard_and_loses_no_row() -> None:
    files = Files(good=flac(noise(32_000)), torn=flac(noise(32_000, seed=1)))

    def read(place: AudioPlace) -> bytes:
        if (place.offset, place.size) == tuple(files.row("torn")[n] for n in ("offset", "size")):
            raise IntegrityError("raw/all.tar is damaged", "raw/all.tar")
        return files.read(place)

    segments = pa.Table.from_pylist([files.row("good"), files.row("torn")], schema=PLAN)
    with pytest.raises(IntegrityError, match=r"raw/all\.tar is damaged"):
        list(normalise_shard(segments, read, KEY, Normalise()))
