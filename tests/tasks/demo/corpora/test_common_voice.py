"""The demo's Common Voice, read by the corpus."""

from collections import Counter
from pathlib import Path

import pytest

from tasks.audio import AudioError, decode, to_whisper_rate
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.common_voice import COMMON_VOICE
from tasks.demo.corpora.common_voice import RELEASE, common_voice_archives
from tasks.demo.formats.archives import CHECKSUMS_NAME, MARKER_NAME, write_archives
from tasks.download.files import RawFiles
from tests.tasks.conftest import ReadCorpus

NUM_TRAIN, NUM_EVAL = 12, 3


def made(folder: Path) -> dict[str, bytes]:
    spoken: list[None] = []
    archives = common_voice_archives(3, NUM_TRAIN, NUM_EVAL, lambda: spoken.append(None))
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
    return read_corpus(COMMON_VOICE, files)


def test_a_second_build_is_identical(files: dict[str, bytes], tmp_path: Path) -> None:
    assert made(tmp_path) == files
    assert list(files) == [f"{RELEASE}-en.tar.gz"]


def test_each_split_has_the_expected_segments(
    read: tuple[list[Segment | Unplanned], RawFiles],
) -> None:
    items, _ = read
    assert Counter(item.split for item in items) == {
        "train": 10,
        "validated": 2,
        "dev": NUM_EVAL,
        "test": NUM_EVAL,
    }
    lost = [(item.split, item.row.reason) for item in items if isinstance(item, Unplanned)]
    assert lost == [("train", "no_audio")]


def test_every_kind_of_quoting_occurs(
    read: tuple[list[Segment | Unplanned], RawFiles],
) -> None:
    raw_texts = [
        item.raw_text
        for item in read[0]
        if isinstance(item, Segment) and {'"', "\\"} & set(item.raw_text)
    ]
    unbalanced, outer, doubled, escaped = raw_texts
    assert unbalanced.count('"') == 1
    assert outer.startswith('"') and outer.endswith('."') and outer.count('"') == 2
    assert '""' in doubled.strip('"')
    assert escaped.count(r"\"") == 2
    cleaned = [COMMON_VOICE.clean(text) for text in raw_texts]
    assert [str(text).count('"') for text in cleaned] == [1, 0, 2, 2]


def test_all_clips_but_one_are_complete_at_both_rates(
    read: tuple[list[Segment | Unplanned], RawFiles],
) -> None:
    items, raw = read
    unreadable, rates_hz = [], Counter[int]()
    for item in items:
        if isinstance(item, Segment):
            try:
                audio = decode(raw.audio(item.audio))
            except AudioError:
                unreadable.append(item.id)
                continue
            rates_hz[audio.rate_hz] += 1
            assert len(to_whisper_rate(audio)) == pytest.approx(audio.duration_s * 16_000, abs=1)
            if item.id.endswith("08"):
                assert audio.duration_s > 9
            else:
                assert 1 <= audio.duration_s < 6.1
    assert unreadable == ["common_voice_en_99000002"]
    assert set(rates_hz) == {32_000, 48_000}
