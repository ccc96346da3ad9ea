"""The demo's AMI, read by the corpus."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from storage.outcome import Rejected
from tasks.audio import AudioError, cut, decode
from tasks.corpora.base import Member, Segment, Unplanned
from tasks.corpora.public.ami.release import AMI
from tasks.demo.corpora.ami import ami_archives
from tasks.demo.speech.utterances import Defect, defect_at

NUM_TRAIN, NUM_EVAL = 58, 3
Files = dict[str, bytes]


class Folder:
    """Files in memory, with the interface of a reader."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def members(self, suffix: str = "") -> Iterator[Member]:
        for name in sorted(self.files):
            if name.endswith(suffix):
                yield Member(name, name, 0, len(self.files[name]))

    def read(self, member: Member) -> bytes:
        return self.files[member.file]

    def open(self, member: Member) -> None:
        raise NotImplementedError


def made(seed: int, num_train: int, num_eval: int) -> tuple[Files, int]:
    calls: list[None] = []
    (tree,) = ami_archives(seed, num_train, num_eval, lambda: calls.append(None))
    return {member.path: member.content for member in tree.members()}, len(calls)


@pytest.fixture(scope="module")
def files() -> Files:
    return made(3, NUM_TRAIN, NUM_EVAL)[0]


@pytest.fixture(scope="module")
def items(files: Files) -> list[Segment | Unplanned]:
    return list(AMI.read(Folder(files)))


def reasons(items: list[Segment | Unplanned], split: str) -> Counter[str]:
    rows = [item.row for item in items if isinstance(item, Unplanned) and item.split == split]
    return Counter(row.reason for row in rows if isinstance(row, Rejected))


def segments(items: list[Segment | Unplanned], split: str) -> list[Segment]:
    return [item for item in items if isinstance(item, Segment) and item.split == split]


def test_each_microphone_has_half_of_the_utterances(items: list[Segment | Unplanned]) -> None:
    assert Counter(item.split for item in items) == {
        "ihm-train": 29,
        "sdm-train": 29,
        "ihm-dev": 2,
        "sdm-dev": 2,
        "ihm-test": 2,
        "sdm-test": 2,
    }


@pytest.mark.parametrize(("num_train", "num_eval"), [(12, 3), (13, 4), (1, 1)])
def test_progress_counts_all_utterances(num_train: int, num_eval: int) -> None:
    assert made(1, num_train, num_eval)[1] == num_train + 2 * num_eval


def test_the_output_depends_on_the_seed_only() -> None:
    first, second, other = made(1, 12, 3)[0], made(1, 12, 3)[0], made(2, 12, 3)[0]
    assert first == second
    recordings = [name for name in first if name.endswith("Array1-01.wav")]
    assert recordings
    assert all(first[name] != other[name] for name in recordings)


def test_defects_are_in_train_only(items: list[Segment | Unplanned]) -> None:
    ihm = {"reversed_times": 1, "no_audio": 1, "no_words": 1}
    assert reasons(items, "ihm-train") == ihm
    assert reasons(items, "sdm-train") == {"reversed_times": 1, "no_words": 1}
    for split in ("ihm-dev", "sdm-dev", "ihm-test", "sdm-test"):
        assert not reasons(items, split)


def test_the_smallest_demo_has_every_edge_case() -> None:
    found = list(AMI.read(Folder(made(1, 12, 3)[0])))
    assert reasons(found, "ihm-train") == {"reversed_times": 1, "no_audio": 1}
    assert "yellow" in [segment.raw_text.lower() for segment in segments(found, "sdm-train")]


def test_the_speech_of_an_unreadable_headset_is_on_the_table_microphone(
    files: Files, items: list[Segment | Unplanned]
) -> None:
    lost = []
    for segment in segments(items, "ihm-train"):
        try:
            decode(files[segment.audio.file])
        except AudioError:
            lost.append(segment)
    (segment,) = lost
    table = next(
        other
        for other in segments(items, "sdm-train")
        if (other.speaker_id, other.start_s) == (segment.speaker_id, segment.start_s)
    )
    assert decode(files[table.audio.file]).duration_s > table.end_s


def test_a_segment_is_loudest_on_its_own_headset(
    files: Files, items: list[Segment | Unplanned]
) -> None:
    for split in ("ihm-dev", "ihm-test"):
        for segment in segments(items, split):
            close = decode(files[segment.audio.file])
            assert close.samples.shape[1] == 1 and close.rate_hz == 16_000
            own = cut(close, 0, segment.start_s, segment.end_s).samples.astype(float)
            others = [
                cut(decode(data), 0, segment.start_s, segment.end_s).samples.astype(float)
                for name, data in files.items()
                if segment.recording_id in name and "Headset" in name and name != segment.audio.file
            ]
            assert all(np.mean(own**2) > 4 * np.mean(other**2) for other in others)


def test_the_first_meeting_has_the_edge_cases(
    files: Files, items: list[Segment | Unplanned]
) -> None:
    (marked,) = [segment for segment in segments(items, "ihm-train") if "olé" in segment.raw_text]
    assert marked.raw_text.endswith("olé.")
    assert "- " in marked.raw_text
    assert isinstance(reference := AMI.clean(marked.raw_text), str) and "-" not in reference
    words = files[f"ami_public_manual_1.6.2/words/{marked.recording_id}.A.words.xml"]
    assert b"ol\xe9" in words and b"<vocalsound" in words
    assert decode(files["amicorpus/EN2001a/audio/EN2001a.Headset-1.wav"]).samples.shape[1] == 2
    on_table = sorted(segments(items, "sdm-train"), key=lambda segment: segment.start_s)
    meeting = [segment for segment in on_table if segment.recording_id == marked.recording_id]
    assert any(
        first.end_s - 0.2 > second.start_s + 0.1 and first.speaker_id != second.speaker_id
        for first, second in pairwise(meeting)
    )


def test_over_long_and_wrong_transcripts_are_at_their_documented_places(
    items: list[Segment | Unplanned],
) -> None:
    assert defect_at(8) is Defect.OVER_LONG
    durations_s = [segment.end_s - segment.start_s for segment in segments(items, "sdm-train")]
    assert sum(duration_s > 9 for duration_s in durations_s) == 1
