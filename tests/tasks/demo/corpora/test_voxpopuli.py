"""The demo's VoxPopuli, read by the corpus."""

from collections import Counter
from pathlib import Path

import pytest

from tasks.audio import AudioError, decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.voxpopuli import VOXPOPULI
from tasks.demo.corpora.voxpopuli import voxpopuli_archives
from tasks.demo.formats.archives import CHECKSUMS_NAME, MARKER_NAME, write_archives
from tasks.download.files import RawFiles
from tests.tasks.conftest import ReadCorpus

NUM_TRAIN, NUM_EVAL = 12, 3


def made(folder: Path) -> dict[str, bytes]:
    spoken: list[None] = []
    archives = voxpopuli_archives(3, NUM_TRAIN, NUM_EVAL, lambda: spoken.append(None))
    write_archives(folder, archives, {})
    assert len(spoken) == NUM_TRAIN + 2 * NUM_EVAL
    names = {path.name for path in folder.iterdir()} - {CHECKSUMS_NAME, MARKER_NAME}
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return made(tmp_path_factory.mktemp("made"))


@pytest.fixture
def read(
    files: dict[str, bytes], read_corpus: ReadCorpus
) -> tuple[list[Segment | Unplanned], RawFiles]:
    return read_corpus(VOXPOPULI, files)


def segments(read: tuple[list[Segment | Unplanned], RawFiles]) -> list[Segment]:
    return [item for item in read[0] if isinstance(item, Segment)]


def test_a_second_build_is_identical(files: dict[str, bytes], tmp_path: Path) -> None:
    assert made(tmp_path) == files


def test_every_archive_of_the_corpus_exists(files: dict[str, bytes]) -> None:
    assert set(files) == {
        "asr_en.tsv.gz",
        *(f"original_{year}.tar" for year in range(2009, 2021)),
    }


def test_each_split_has_the_expected_segments(
    read: tuple[list[Segment | Unplanned], RawFiles],
) -> None:
    items, _ = read
    assert Counter(item.split for item in items) == {
        "train": NUM_TRAIN + 1,
        "dev": NUM_EVAL,
        "test": NUM_EVAL,
    }
    reasons = {item.row.reason for item in items if isinstance(item, Unplanned)}
    assert reasons == {"no_audio", "not_in_a_split"}


def test_edge_cases_are_in_training(read: tuple[list[Segment | Unplanned], RawFiles]) -> None:
    train = {
        int(segment.id.rpartition("_")[2]): segment
        for segment in segments(read)
        if segment.split == "train"
    }
    assert train[0].raw_text.islower() and not train[0].raw_text.endswith(".")
    assert len(train[1].pieces_s) == 2
    assert train[3].speaker_id is None
    assert train[6].raw_text == ""
    assert sum(end_s - start_s for start_s, end_s in train[8].pieces_s) > 9


def test_speakers_take_turns_and_keep_to_their_split(
    read: tuple[list[Segment | Unplanned], RawFiles],
) -> None:
    splits_of: dict[str, set[str]] = {}
    for segment in segments(read):
        if segment.speaker_id is not None:
            splits_of.setdefault(segment.speaker_id, set()).add(segment.split)
    assert all(len(splits) == 1 for splits in splits_of.values())
    talks = Counter(s.recording_id for s in segments(read) if s.split == "dev")
    assert set(talks.values()) == {NUM_EVAL}


def test_the_pieces_contain_the_speech_and_not_the_pauses(
    read: tuple[list[Segment | Unplanned], RawFiles],
) -> None:
    _, raw = read
    unreadable = []
    for segment in segments(read):
        try:
            audio = decode(raw.audio(segment.audio))
        except AudioError:
            unreadable.append(segment.id)
            continue
        assert segment.end_s is not None and segment.end_s < audio.duration_s
        samples = audio.samples[:, 0].astype(float)
        power = [
            (samples[int(start_s * 16_000) : int(end_s * 16_000)] ** 2).mean()
            for start_s, end_s in segment.pieces_s
        ]
        first_s = segment.pieces_s[0][0]
        before = (samples[int((first_s - 0.2) * 16_000) : int(first_s * 16_000)] ** 2).mean()
        assert min(power) > 3 * before
    [damaged] = unreadable
    assert damaged.endswith("_2")
