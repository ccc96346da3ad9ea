"""The demo's GigaSpeech, read by the corpus."""

import hashlib
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from storage.outcome import quarantined
from tasks.audio import Audio, AudioError, cut, decode
from tasks.corpora.base import NoReference, Segment, Unplanned
from tasks.corpora.public.gigaspeech import GIGASPEECH_RELEASE, clean
from tasks.demo.corpora.gigaspeech import METADATA_NAME, gigaspeech_archives
from tasks.download.files import RawFiles
from tests.tasks.conftest import ReadCorpus

NUM_TRAIN, NUM_EVAL = 12, 3
NUM_EDGES = 2  # `<SIL>`, and one that ends after its recording; one in `{XL}` is not to be seen
Read = tuple[list[Segment | Unplanned], RawFiles]


def made() -> dict[str, bytes]:
    spoken: list[None] = []
    trees = gigaspeech_archives(3, NUM_TRAIN, NUM_EVAL, lambda: spoken.append(None))
    files = {member.path: member.content for tree in trees for member in tree.members()}
    assert len(spoken) == NUM_TRAIN + 2 * NUM_EVAL
    return files


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return made()


@pytest.fixture(scope="module")
def audios(files: dict[str, bytes]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(files[METADATA_NAME])["audios"]
    return found


@pytest.fixture
def read(files: dict[str, bytes], read_corpus: ReadCorpus) -> Read:
    return read_corpus(GIGASPEECH_RELEASE, files)


def segments(read: Read, *splits: str) -> list[Segment]:
    return [item for item in read[0] if isinstance(item, Segment) and item.split in splits]


def readable(read: Read, *splits: str) -> dict[str, Audio]:
    """The decodable recordings by name."""
    found: dict[str, Audio] = {}
    for segment in segments(read, *splits):
        try:
            found[segment.recording_id] = decode(read[1].audio(segment.audio))
        except AudioError:
            continue
    return found


def test_a_second_build_is_identical(files: dict[str, bytes]) -> None:
    assert made() == files


def test_the_metadata_matches_the_files(
    files: dict[str, bytes], audios: list[dict[str, Any]]
) -> None:
    recordings = {path for path in files if path.endswith(".opus")}
    assert len([audio for audio in audios if audio["path"] not in recordings]) == 1
    assert recordings < {audio["path"] for audio in audios}
    for audio in audios:
        if audio["path"] in recordings:
            data = files[audio["path"]]
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            assert (audio["size"], audio["md5"]) == (len(data), digest)


def test_each_split_has_the_expected_segments(read: Read) -> None:
    assert Counter(item.split for item in read[0]) == {
        "l": NUM_TRAIN + NUM_EDGES,
        "dev": NUM_EVAL,
        "test": NUM_EVAL,
    }
    [absent] = [item.row for item in read[0] if isinstance(item, Unplanned)]
    aid = absent.id.partition("_")[0]
    assert absent == quarantined(f"{aid}_S0000000", "no_audio", aid)


def test_edge_cases_are_in_training(read: Read, audios: list[dict[str, Any]]) -> None:
    train = segments(read, "l")
    texts = [segment.raw_text for segment in train]
    assert all(text == text.upper() for text in texts)
    assert any("<PERIOD>" in text for text in texts)
    references = [clean(text) for text in texts]
    assert references.count(NoReference("no_speech")) == 1
    assert references.count(NoReference("garbage_tag")) == 1
    assert references.count("") == 1
    beside = [
        entry["sid"]
        for audio in audios
        for entry in audio["segments"]
        if entry["subsets"] == ["{XL}"]
    ]
    assert len(beside) == 1 and beside[0] not in {segment.id for segment in train}
    recordings = readable(read, "l")
    assert len({segment.recording_id for segment in train} - set(recordings)) == 1
    assert [
        segment.id
        for segment in train
        if (recording := recordings.get(segment.recording_id)) is not None
        and (segment.end_s or 0.0) > recording.duration_s
    ] == [train[-1].id]
    assert len([segment for segment in train if (segment.end_s or 0) - segment.start_s > 8]) == 1


def test_segments_contain_the_speech_of_their_recording(read: Read) -> None:
    for name, recording in readable(read, "dev", "test").items():
        assert (recording.rate_hz, recording.samples.shape[1]) == (16_000, 1)
        speaks = np.zeros(len(recording.samples), dtype=bool)
        for segment in segments(read, "dev", "test"):
            if segment.recording_id == name:
                cut(recording, segment.channel, segment.start_s, segment.end_s)
                assert isinstance(clean(segment.raw_text), str)
                first, last = segment.start_s, segment.end_s or 0.0
                speaks[int(first * 16_000) : int(last * 16_000)] = True
        power = recording.samples[:, 0].astype(np.float64) ** 2
        assert np.mean(power[speaks]) > 5 * np.mean(power[~speaks])
