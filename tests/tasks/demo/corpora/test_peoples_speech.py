"""The demo's People's Speech, read by the corpus."""

import io
from collections import Counter

import pyarrow.parquet as pq
import pytest

from tasks.audio import AudioError, decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.peoples_speech import PEOPLES_SPEECH
from tasks.demo.corpora.peoples_speech import (
    ROWS_A_GROUP,
    UTTERANCES_A_RECORDING,
    WRONG_DURATION_AT,
    peoples_speech_archives,
)
from tasks.demo.speech.utterances import Defect, defect_at
from tasks.download.files import RawFiles
from tests.tasks.conftest import ReadCorpus

NUM_TRAIN, NUM_EVAL = 13, 3
Read = tuple[list[Segment | Unplanned], RawFiles]


def made() -> dict[str, bytes]:
    spoken: list[None] = []
    trees = peoples_speech_archives(3, NUM_TRAIN, NUM_EVAL, lambda: spoken.append(None))
    files = {member.path: member.content for tree in trees for member in tree.members()}
    assert len(spoken) == NUM_TRAIN + 2 * NUM_EVAL
    return files


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return made()


@pytest.fixture
def read(files: dict[str, bytes], read_corpus: ReadCorpus) -> Read:
    return read_corpus(PEOPLES_SPEECH, files)


def train(read: Read) -> list[Segment]:
    return [item for item in read[0] if isinstance(item, Segment) and item.split == "train"]


def test_a_second_build_is_identical(files: dict[str, bytes]) -> None:
    assert made() == files


def test_the_parquet_columns_are_those_of_the_hub(files: dict[str, bytes]) -> None:
    parts = ("train", "validation", "test")
    assert set(files) == {f"clean/{part}-00000-of-00001.parquet" for part in parts}
    for data in files.values():
        table = pq.ParquetFile(io.BytesIO(data))
        assert table.schema_arrow.names == ["id", "audio", "duration_ms", "text"]
        assert str(table.schema_arrow.field("audio").type) == "struct<bytes: binary, path: string>"
        assert table.metadata.row_group(0).num_rows <= ROWS_A_GROUP


def test_each_split_has_the_expected_segments(read: Read) -> None:
    assert all(isinstance(item, Segment) for item in read[0])
    assert Counter(item.split for item in read[0]) == {
        "train": NUM_TRAIN,
        "validation": NUM_EVAL,
        "test": NUM_EVAL,
    }
    recordings = Counter(segment.recording_id for segment in train(read))
    assert sorted(recordings.values()) == [
        NUM_TRAIN - UTTERANCES_A_RECORDING,
        UTTERANCES_A_RECORDING,
    ]


def test_defects_and_edge_case_are_at_their_documented_places(read: Read) -> None:
    audio = read[1].audio
    for index, segment in enumerate(train(read)):
        defect = defect_at(index)
        assert (segment.raw_text == "") == (defect is Defect.EMPTY_TRANSCRIPT)
        if defect is Defect.MISSING_AUDIO:
            assert audio(segment.audio) == b""
            continue
        if defect is Defect.UNREADABLE_AUDIO:
            with pytest.raises(AudioError):
                decode(audio(segment.audio))
            continue
        found = decode(audio(segment.audio))
        assert (found.rate_hz, found.samples.shape[1]) == (16_000, 1)
        assert (found.duration_s > 8.0) == (defect is Defect.OVER_LONG)
        factor = 2 if index == WRONG_DURATION_AT else 1
        assert segment.audio.duration_s == pytest.approx(factor * found.duration_s, abs=0.002)


def test_evaluation_parts_have_no_defects(read: Read) -> None:
    for segment in read[0]:
        if isinstance(segment, Segment) and segment.split != "train":
            duration_s = decode(read[1].audio(segment.audio)).duration_s
            assert segment.audio.duration_s == pytest.approx(duration_s, abs=0.001)
            assert segment.raw_text and segment.raw_text == segment.raw_text.lower()
