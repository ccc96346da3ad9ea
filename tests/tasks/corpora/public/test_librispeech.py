"""LibriSpeech as distributed by OpenSLR, with one line per edge case."""

from collections.abc import Callable

import pytest

from storage.errors import ShardError
from storage.outcome import quarantined
from tasks.audio import decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.librispeech import LIBRISPEECH, MINI_LIBRISPEECH
from tasks.corpora.sources import Archive
from tests.builders import flac, noise, tar_gz

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], object]]

FIRST, SECOND, OTHER = (flac(noise(frames)) for frames in (16_000, 24_000, 8_000))
FOLDER = "LibriSpeech/dev-clean/9999/123456"
DEV_CLEAN = tar_gz(
    {
        "LibriSpeech/README.TXT": b"read me",
        "LibriSpeech/SPEAKERS.TXT": b"; comment\n9999 | F | dev-clean | 8.05 | A Reader\n",
        f"{FOLDER}/9999-123456-0001.flac": SECOND,
        f"{FOLDER}/9999-123456-0000.flac": FIRST,
        f"{FOLDER}/9999-123456.trans.txt": (
            b"9999-123456-0000 THE LAMP WAS LIT BEFORE DAWN\n"
            b"9999-123456-0001 IT'S NOT THE KEEPER'S\n"
            b"9999-123456-0002 THIS LINE HAS NO FILE\n"
        ),
    }
)
TEST_OTHER = tar_gz(
    {
        "LibriSpeech/test-other/77/5/77-5-0000.flac": OTHER,
        "LibriSpeech/test-other/77/5/77-5.trans.txt": b"77-5-0000 A CAF\xc3\x89\n",
    }
)
TRAIN_CLEAN_5 = tar_gz(
    {
        "LibriSpeech/LICENSE.TXT": b"CC BY 4.0",
        "LibriSpeech/train-clean-5/32/21/32-21-0000.flac": FIRST,
        "LibriSpeech/train-clean-5/32/21/32-21-0001.flac": SECOND,
        "LibriSpeech/train-clean-5/32/21/32-21.trans.txt": (
            b"32-21-0000 THE LAMP WAS LIT\n32-21-0001 IT'S A FERRY\n"
        ),
    }
)
DEV_CLEAN_2 = tar_gz(
    {
        "LibriSpeech/dev-clean-2/84/9/84-9-0000.flac": OTHER,
        "LibriSpeech/dev-clean-2/84/9/84-9.trans.txt": b"84-9-0000 A BELL\n",
    }
)


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return item.split, item.row
    text = LIBRISPEECH.clean(item.raw_text)
    return item.split, item.id, item.recording_id, item.speaker_id, item.raw_text, text


def test_every_line_is_a_segment_or_is_rejected_with_a_reason(read_corpus: ReadCorpus) -> None:
    archives = {"dev-clean.tar.gz": DEV_CLEAN, "test-other.tar.gz": TEST_OTHER}
    items, _ = read_corpus(LIBRISPEECH, archives, ("dev-clean", "test-other"))
    transcript = f"{FOLDER}/9999-123456.trans.txt"
    assert list(map(in_brief, items)) == [
        (
            "dev-clean",
            "9999-123456-0000",
            "9999-123456",
            "9999",
            "THE LAMP WAS LIT BEFORE DAWN",
            "the lamp was lit before dawn",
        ),
        (
            "dev-clean",
            "9999-123456-0001",
            "9999-123456",
            "9999",
            "IT'S NOT THE KEEPER'S",
            "it's not the keeper's",
        ),
        ("dev-clean", quarantined("9999-123456-0002", "no_audio", f"named in {transcript}")),
        ("test-other", "77-5-0000", "77-5", "77", "A CAFÉ", "a café"),
    ]


def test_a_segment_is_the_whole_of_its_own_file(read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(LIBRISPEECH, {"dev-clean.tar.gz": DEV_CLEAN}, ("dev-clean",))
    segments = [item for item in items if isinstance(item, Segment)]
    assert [raw.read(segment.audio) for segment in segments] == [FIRST, SECOND]
    assert [segment.audio.duration_s for segment in segments] == [1.0, 1.5]
    assert {(s.channel, s.start_s, s.end_s) for s in segments} == {(0, 0.0, None)}
    assert decode(raw.read(segments[0].audio)).duration_s == 1.0


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"no-id-of-this-form AND TEXT", "no-id-of-this-form"),
        (b"lamp WITHOUT A CHAPTER", "lamp"),
        (b"1-2-0000 NOT \xff UTF-8", "1-2-0000"),
    ],
)
def test_a_malformed_line_is_quarantined(read_corpus: ReadCorpus, line: bytes, name: str) -> None:
    folder = "LibriSpeech/dev-clean/1/2"
    files = {f"{folder}/{name}.flac": FIRST, f"{folder}/1-2.trans.txt": b"\n" + line + b"\n"}
    [item], _ = read_corpus(LIBRISPEECH, {"dev-clean.tar.gz": tar_gz(files)}, ("dev-clean",))
    shown = line.decode("utf-8", errors="replace")
    assert item == Unplanned(
        split="dev-clean", row=quarantined("1-2.trans:2", "malformed_line", shown)
    )


def test_only_a_line_feed_ends_a_line(read_corpus: ReadCorpus) -> None:
    folder = "LibriSpeech/dev-clean/1/2"
    text = "1-2-0000 ONE\u2028TWO\x0bTHREE\r\n1-2-0001"
    files = {
        f"{folder}/1-2-0000.flac": FIRST,
        f"{folder}/1-2-0001.flac": FIRST,
        f"{folder}/1-2.trans.txt": text.encode(),
    }
    items, _ = read_corpus(LIBRISPEECH, {"dev-clean.tar.gz": tar_gz(files)}, ("dev-clean",))
    assert [item.raw_text for item in items] == ["ONE\u2028TWO\x0bTHREE", ""]


def test_an_archive_with_another_layout_is_refused(read_corpus: ReadCorpus) -> None:
    archive = tar_gz({"1-2.trans.txt": b"1-2-0000 A LAMP\n"})
    with pytest.raises(ShardError, match=r"1-2\.trans\.txt"):
        read_corpus(LIBRISPEECH, {"dev-clean.tar.gz": archive}, ("dev-clean",))


def test_mini_librispeech_has_the_layout_of_librispeech(read_corpus: ReadCorpus) -> None:
    archives = {"train-clean-5.tar.gz": TRAIN_CLEAN_5, "dev-clean-2.tar.gz": DEV_CLEAN_2}
    items, raw = read_corpus(MINI_LIBRISPEECH, archives, ("train-clean-5", "dev-clean-2"))
    assert list(map(in_brief, items)) == [
        ("dev-clean-2", "84-9-0000", "84-9", "84", "A BELL", "a bell"),
        ("train-clean-5", "32-21-0000", "32-21", "32", "THE LAMP WAS LIT", "the lamp was lit"),
        ("train-clean-5", "32-21-0001", "32-21", "32", "IT'S A FERRY", "it's a ferry"),
    ]
    segments = [item for item in items if isinstance(item, Segment)]
    assert [raw.read(segment.audio) for segment in segments] == [OTHER, FIRST, SECOND]


def test_mini_librispeech_comes_from_openslr_31() -> None:
    assert {
        archive.url: (archive.md5, archive.size_bytes, archive.splits)
        for archive in MINI_LIBRISPEECH.sources
        if isinstance(archive, Archive)
    } == {
        "https://www.openslr.org/resources/31/train-clean-5.tar.gz": (
            "5df7d4e78065366204ca6845bb08f490",
            332_954_390,
            ("train-clean-5",),
        ),
        "https://www.openslr.org/resources/31/dev-clean-2.tar.gz": (
            "6d7ab67ac6a1d2c993d050e16d61080d",
            126_046_265,
            ("dev-clean-2",),
        ),
    }
    assert MINI_LIBRISPEECH.splits == {"train-clean-5": "train", "dev-clean-2": "validation"}
    assert MINI_LIBRISPEECH.licence == LIBRISPEECH.licence


def test_the_published_digests_are_those_of_openslr() -> None:
    published = {archive.name: archive.md5 for archive in LIBRISPEECH.sources}
    assert published == {
        "dev-clean.tar.gz": "42e2234ba48799c1f50f24a7926300a1",
        "dev-other.tar.gz": "c8d0bcc9cca99d4f8b62fcc847357931",
        "test-clean.tar.gz": "32fa31d27d2e1cad72775fee3f4849a9",
        "test-other.tar.gz": "fb5a50374b501bb3bac4815ee91d3135",
        "train-clean-100.tar.gz": "2a93770f6d5c6c964bc36631d331a522",
        "train-clean-360.tar.gz": "c0e676e450a7ff2f54aeade5171606fa",
        "train-other-500.tar.gz": "d1a0fd59409feb2c614ce4d30c387708",
    }
    assert {
        split: archive.splits
        for split, archive in zip(LIBRISPEECH.splits, LIBRISPEECH.sources, strict=True)
    } == {split: (split,) for split in LIBRISPEECH.splits}
