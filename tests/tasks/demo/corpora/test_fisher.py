"""The demo's Fisher, read by the corpus."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tasks.audio import AudioError, decode
from tasks.corpora.base import NoReference, Segment, Unplanned
from tasks.corpora.public.telephone.fisher import FISHER, clean
from tasks.demo.corpora.fisher import fisher_archives
from tasks.demo.formats.archives import CHECKSUMS_NAME, MARKER_NAME, write_archives
from tests.tasks.conftest import ReadCorpus

NUM_TRAIN, NUM_EVAL = 12, 3
Files = dict[str, bytes]


def made(folder: Path) -> Files:
    spoken: list[None] = []
    archives = fisher_archives(3, NUM_TRAIN, NUM_EVAL, lambda: spoken.append(None))
    write_archives(folder, archives, {})
    assert len(spoken) == NUM_TRAIN + 2 * NUM_EVAL
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (CHECKSUMS_NAME, MARKER_NAME)
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return made(tmp_path_factory.mktemp("fisher"))


def segments_of(items: list[Segment | Unplanned], *splits: str) -> list[Segment]:
    return [item for item in items if isinstance(item, Segment) and item.split in splits]


def test_the_output_is_deterministic(files: Files, tmp_path: Path) -> None:
    assert made(tmp_path) == files


def test_train_has_every_defect_and_edge_case(files: Files, read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(FISHER, files)
    rejected = [(item.split, item.row.reason) for item in items if isinstance(item, Unplanned)]
    assert rejected == [("train", "no_audio")]
    train = segments_of(items, "train")
    unreadable = Counter[str]()
    for call in {segment.audio.name: segment.audio for segment in train}.values():
        try:
            decode(raw.audio(call))
        except AudioError:
            unreadable["truncated"] += 1
    assert unreadable["truncated"] == 1
    references = [clean(segment.raw_text) for segment in train]
    reasons = Counter(text.reason for text in references if isinstance(text, NoReference))
    assert reasons == {"not_understood": 1, "skipped": 1, "foreign": 1, "no_speech": 1}
    # of the turns that were spoken one has no words, and a broken call repeats the first
    assert len(train) == NUM_TRAIN + 4 + 1
    assert references.count("") == 1
    assert sum((segment.end_s or 0.0) - segment.start_s > 9 for segment in train) == 1
    written = " ".join(segment.raw_text for segment in train)
    assert all(mark in written for mark in ("(( ))", "- ", "[laughter]", "~"))


def test_held_out_calls_are_clean(files: Files, read_corpus: ReadCorpus) -> None:
    items, _ = read_corpus(FISHER, files)
    for split in ("dev", "test"):
        held_out = segments_of(items, split)
        assert len(held_out) == NUM_EVAL
        assert all(clean(segment.raw_text) == segment.raw_text for segment in held_out)
        assert all(1.0 < (segment.end_s or 0.0) - segment.start_s < 6.5 for segment in held_out)


def test_two_people_share_a_pin(files: Files, read_corpus: ReadCorpus) -> None:
    items, _ = read_corpus(FISHER, files)
    speakers = {segment.speaker_id for segment in segments_of(items, "train")}
    assert {"10001f", "10001m"} <= speakers


def test_headers_have_two_or_three_lines(files: Files) -> None:
    transcripts = [data for name, data in files.items() if "/trans/" in name]
    firsts = {data.decode().split("\n")[2] == "" for data in transcripts}
    assert firsts == {True, False}


def test_calls_are_shortened_mu_law_at_8_khz_where_sides_speak_in_turns_and_overlap(
    files: Files, read_corpus: ReadCorpus
) -> None:
    items, raw = read_corpus(FISHER, files)
    [first, *_] = segments_of(items, "train")
    data = raw.audio(first.audio)
    assert b"ulaw,embedded-shorten-v2.00" in data[:1024]
    recording = decode(data)
    assert (recording.rate_hz, recording.samples.shape[1]) == (8_000, 2)
    turns = [s for s in segments_of(items, "train") if s.recording_id == first.recording_id]
    spoken = [s for s in turns if isinstance(clean(s.raw_text), str)]
    assert any(b.start_s < (a.end_s or 0.0) for a, b in pairwise(spoken))
    for channel in (0, 1):
        speaks = np.zeros(len(recording.samples), dtype=bool)
        for turn in spoken:
            if turn.channel == channel:
                speaks[round(turn.start_s * 8_000) : round((turn.end_s or 0.0) * 8_000)] = True
        heard = recording.samples[:, channel] / 32_768.0
        assert np.mean(heard[speaks] ** 2) > 5 * np.mean(heard[~speaks] ** 2)
