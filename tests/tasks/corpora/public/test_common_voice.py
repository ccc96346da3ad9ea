"""Common Voice as distributed by Mozilla, with one line per edge case."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.errors import ShardError
from storage.outcome import dropped, quarantined
from tasks.audio import decode, to_whisper_rate
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.common_voice import COMMON_VOICE
from tasks.download.files import RawFiles
from tests.builders import encoded, sine, tar_gz

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], RawFiles]]

NAME = "cv-corpus-13.0-2023-03-09-en.tar.gz"
FOLDER = "cv-corpus-13.0-2023-03-09/en"
HEADER = (
    "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tvariant\tlocale"
    "\tsegment\n"
)
LATER_HEADER = HEADER.replace("sentence", "sentence_id\tsentence\tsentence_domain")
REST = "2\t0\ttwenties\tmale\tUnited States English\t\ten\t\n"


def clip(number: int) -> str:
    return f"common_voice_en_9900000{number}"


def line(speaker: str, number: int, sentence: str) -> str:
    return f"{speaker}\t{clip(number)}.mp3\t{sentence}\t{REST}"


TRAIN = [
    line("9f3c", 1, "The ferry leaves at noon."),
    line("9f3c", 2, 'The "ferry leaves at noon.'),
    f"77aa\t{clip(3)}\tOf an old release.\t{REST}",
    line("77aa", 4, "Its clip is missing."),
    line("77aa", 6, "It is tested on too."),
    "\tonly two fields\n",
    f"77aa\t\tNo path.\t{REST}",
    line("77aa", 1, "not \xff UTF-8").encode("latin-1").decode("utf-8", "surrogateescape"),
]
DEV = [f"d00d\t{clip(5)}.mp3\t4711\tIn a later order.\tgeneral\t{REST}"]
TEST = [line("7e57", 6, '"A ""quoted"" one."')]
VALIDATED = [line("9f3c", 7, ""), *TRAIN[:5], *TEST, line("9f3c", 5, "In a later order.")]


def table(lines: list[str], header: str = HEADER) -> bytes:
    return "".join([header, *lines]).encode("utf-8", "surrogateescape")


def mp3(number: int, rate_hz: int) -> bytes:
    tone = sine(1.0, rate_hz=rate_hz, frequency_hz=200.0 * number)
    return encoded(tone, "MP3", "MPEG_LAYER_III", rate_hz)


FILES = {
    f"{FOLDER}/train.tsv": table(TRAIN),
    f"{FOLDER}/dev.tsv": table(DEV, LATER_HEADER),
    f"{FOLDER}/test.tsv": table(TEST),
    f"{FOLDER}/validated.tsv": table(VALIDATED),
    f"{FOLDER}/invalidated.tsv": table([line("9f3c", 8, "A wrong one.")]),
    f"{FOLDER}/other.tsv": table([]),
    f"{FOLDER}/reported.tsv": b"sentence\tsentence_id\tlocale\treason\n",
    **{
        f"{FOLDER}/clips/{clip(number)}.mp3": mp3(number, 32_000 if number % 2 else 48_000)
        for number in (1, 2, 3, 5, 6, 7, 8)
    },
}


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return item.split, item.row
    return item.split, item.id, item.speaker_id, item.raw_text


@pytest.fixture
def read(read_corpus: ReadCorpus) -> tuple[list[Segment | Unplanned], RawFiles]:
    return read_corpus(COMMON_VOICE, {NAME: tar_gz(FILES)})


def test_every_line_is_a_segment_or_is_rejected_with_a_reason(
    read: tuple[list[Segment | Unplanned], RawFiles],
) -> None:
    def malformed(number: int, line: str) -> tuple[object, ...]:
        return "train", quarantined(f"train:{number}", "malformed_line", line.strip("\n")[:80])

    undecodable = TRAIN[7].replace("\udcff", "\N{REPLACEMENT CHARACTER}")
    assert list(map(in_brief, read[0])) == [
        ("test", clip(6), "7e57", '"A ""quoted"" one."'),
        ("dev", clip(5), "d00d", "In a later order."),
        ("train", clip(1), "9f3c", "The ferry leaves at noon."),
        ("train", clip(2), "9f3c", 'The "ferry leaves at noon.'),
        ("train", clip(3), "77aa", "Of an old release."),
        ("train", quarantined(clip(4), "no_audio", "named in train.tsv")),
        ("train", dropped(clip(6), "in_another_split")),
        malformed(7, "\tonly two fields"),
        malformed(8, TRAIN[6]),
        malformed(9, undecodable),
        ("validated", clip(7), "9f3c", ""),
    ]


def test_no_clip_is_in_two_splits(read: tuple[list[Segment | Unplanned], RawFiles]) -> None:
    ids = [item.id for item in read[0] if isinstance(item, Segment)]
    assert len(ids) == len(set(ids))


def test_a_clip_is_a_recording_of_its_own_at_either_rate(
    read: tuple[list[Segment | Unplanned], RawFiles],
) -> None:
    items, raw = read
    segments = [item for item in items if isinstance(item, Segment)]
    assert all(s.recording_id == s.id and (s.start_s, s.end_s) == (0, None) for s in segments)
    rates_hz = set()
    for segment in segments:
        audio = decode(raw.audio(segment.audio))
        rates_hz.add(audio.rate_hz)
        assert audio.duration_s == pytest.approx(1.0, abs=0.001)
        assert len(to_whisper_rate(audio)) == pytest.approx(16_000, abs=16)
    assert rates_hz == {32_000, 48_000}


def test_a_long_table_keeps_all_its_lines(read_corpus: ReadCorpus) -> None:
    lines = [f"9f3c\tcommon_voice_en_{n}.mp3\t{'so ' * 60}\t{REST}" for n in range(8_000)]
    items, _ = read_corpus(
        COMMON_VOICE, {NAME: tar_gz({**FILES, f"{FOLDER}/dev.tsv": table([*lines, "cut short"])})}
    )
    dev = [item.row for item in items if isinstance(item, Unplanned) and item.split == "dev"]
    assert [row.id for row in dev[:-1]] == [f"common_voice_en_{n}" for n in range(8_000)]
    assert dev[-1] == quarantined("dev:8002", "malformed_line", "cut short")


def test_a_missing_table_is_reported(read_corpus: ReadCorpus) -> None:
    without = {name: data for name, data in FILES.items() if not name.endswith("dev.tsv")}
    with pytest.raises(ShardError, match=r"no dev\.tsv"):
        read_corpus(COMMON_VOICE, {NAME: tar_gz(without)})


def test_a_missing_column_is_reported(read_corpus: ReadCorpus) -> None:
    other = {**FILES, f"{FOLDER}/test.tsv": b"client_id\tpath\ttext\n"}
    with pytest.raises(ShardError, match="'sentence'; it has client_id, path, text"):
        read_corpus(COMMON_VOICE, {NAME: tar_gz(other)})


def test_lhotse_reads_the_same(
    read: tuple[list[Segment | Unplanned], RawFiles],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For valid lines: lhotse fails on lines that are not UTF-8, or lack fields or suffixes."""
    from lhotse.recipes import commonvoice

    def threads(max_workers: int, mp_context: object) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers)

    monkeypatch.setattr(commonvoice, "ProcessPoolExecutor", threads)
    files = {**FILES, f"{FOLDER}/train.tsv": table([*TRAIN[:2], TRAIN[3]])}
    for name, data in files.items():
        path = tmp_path / "lhotse" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    manifests = commonvoice.prepare_commonvoice(
        tmp_path / "lhotse" / Path(FOLDER).parent, tmp_path / "out", "en"
    )["en"]
    found = {
        (split, s.id, s.recording_id, s.speaker, s.text)
        for split in ("train", "dev", "test")
        for s in manifests[split]["supervisions"]
    }
    assert found == {
        (item.split, item.id, item.recording_id, item.speaker_id, item.raw_text)
        for item in read[0]
        if isinstance(item, Segment) and item.id not in (clip(3), clip(7))
    }
