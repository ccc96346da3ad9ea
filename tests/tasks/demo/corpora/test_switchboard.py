"""The demo's Switchboard, read by the corpus."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tasks.audio import AudioError, decode
from tasks.corpora.base import NoReference, Segment, Unplanned
from tasks.corpora.public.telephone.switchboard import SWITCHBOARD, clean
from tasks.demo.corpora.switchboard import switchboard_archives
from tasks.demo.formats.archives import CHECKSUMS_NAME, MARKER_NAME, write_archives
from tests.tasks.conftest import ReadCorpus

NUM_TRAIN, NUM_EVAL = 12, 3
Files = dict[str, bytes]


def made(folder: Path) -> Files:
    spoken: list[None] = []
    archives = switchboard_archives(3, NUM_TRAIN, NUM_EVAL, lambda: spoken.append(None))
    write_archives(folder, archives, {})
    assert len(spoken) == NUM_TRAIN + 2 * NUM_EVAL
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (CHECKSUMS_NAME, MARKER_NAME)
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return made(tmp_path_factory.mktemp("switchboard"))


def segments_of(items: list[Segment | Unplanned], *splits: str) -> list[Segment]:
    return [item for item in items if isinstance(item, Segment) and item.split in splits]


def test_the_output_is_deterministic(files: Files, tmp_path: Path) -> None:
    assert made(tmp_path) == files


def test_train_has_every_defect_and_edge_case(files: Files, read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(SWITCHBOARD, files)
    rejected = Counter(item.row.reason for item in items if isinstance(item, Unplanned))
    assert (rejected["no_audio"], set(rejected)) == (1, {"no_audio", "silence"})
    train = segments_of(items, "train")
    num_unreadable = 0
    for call in {segment.audio.name: segment.audio for segment in train}.values():
        try:
            decode(raw.audio(call))
        except AudioError:
            num_unreadable += 1
    assert num_unreadable == 1
    references = [clean(segment.raw_text) for segment in train]
    reasons = [text.reason for text in references if isinstance(text, NoReference)]
    assert reasons == ["no_speech"]
    # of the turns that were spoken one has no words, and a broken call repeats the first
    assert len(train) == NUM_TRAIN + 1 + 1
    assert references.count("") == 1
    assert sum((segment.end_s or 0.0) - segment.start_s > 9 for segment in train) == 1
    written = " ".join(segment.raw_text for segment in train)
    assert all(mark in written for mark in ("[laughter-", "/", "-[th]at", "{", "_1"))


def test_held_out_calls_are_clean(files: Files, read_corpus: ReadCorpus) -> None:
    items, _ = read_corpus(SWITCHBOARD, files)
    for split in ("dev", "test"):
        held_out = segments_of(items, split)
        assert len(held_out) == NUM_EVAL
        assert all(clean(segment.raw_text) == segment.raw_text for segment in held_out)


def test_all_four_discs_exist(files: Files) -> None:
    assert {name.split("/")[0] for name in files if name.endswith(".sph")} == {
        f"swb1_d{disc}" for disc in range(1, 5)
    }


def test_calls_are_plain_mu_law_at_8_khz_and_a_header_counts_both_channels(
    files: Files, read_corpus: ReadCorpus
) -> None:
    items, raw = read_corpus(SWITCHBOARD, files)
    doubled = 0
    for name in {s.audio.name for s in segments_of(items, "train", "dev", "test")}:
        header = files[name][:1024].decode("ascii").split()
        count = int(header[header.index("sample_count") + 2])
        assert header[header.index("sample_coding") + 2] == "ulaw"
        doubled += count == len(files[name]) - 1024
    assert doubled == 1
    [segment, *_] = segments_of(items, "test")
    recording = decode(raw.audio(segment.audio))
    assert (recording.rate_hz, recording.samples.shape[1]) == (8_000, 2)


def test_the_lines_of_a_side_have_no_gaps(files: Files, read_corpus: ReadCorpus) -> None:
    _, raw = read_corpus(SWITCHBOARD, files)
    for transcript in raw.members("-trans.text"):
        times = [line.split()[1:3] for line in raw.read(transcript).decode().splitlines()]
        assert times[0][0] == "0.000000"
        assert all(end == start for (_, end), (start, _) in pairwise(times))


def test_both_sides_have_the_pins_of_the_table(files: Files, read_corpus: ReadCorpus) -> None:
    items, _ = read_corpus(SWITCHBOARD, files)
    sides = {(s.recording_id, s.channel): s.speaker_id for s in segments_of(items, "dev", "test")}
    assert len(set(sides.values())) == 4
    assert all(pin is not None and pin.isdigit() for pin in sides.values())
