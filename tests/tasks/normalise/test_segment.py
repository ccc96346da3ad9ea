"""Segmentation of untranscribed recordings: cuts at pauses, one speaker per channel."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch

from configs.schema import Normalise
from storage.commit import Commit
from storage.outcome import Created, Rejected
from storage.shard import ShardKey
from storage.stage import Place
from storage.store import Store
from tasks.audio import decode, voice_activity
from tasks.demo.speech.utterances import pcm16, utterance
from tasks.normalise.segment import distinct_channels, speech_segments
from tasks.normalise.shard import normalise_shard
from tasks.normalise.stage import NORMALISE
from tasks.plan.schema import PLAN
from tests.builders import encoded, noise

RATE_HZ = 16_000
KEY = ShardKey("own", "train", 0)
VAD = Normalise(segment="vad", max_duration_s=8.0)

Pcm = npt.NDArray[np.int16]


def speech(seconds: float, speaker: str = "ann", seed: int = 0) -> Pcm:
    """Speech of at least this duration without long pauses, as (frames,) int16."""
    random = np.random.default_rng(seed)
    made: list[Pcm] = []
    while sum(map(len, made)) < seconds * RATE_HZ:
        made.append(pcm16(utterance(speaker, random, None).samples))
    return np.concatenate(made)


def silence(seconds: float) -> Pcm:
    return noise(round(seconds * RATE_HZ))[:, 0] // 1_000


@pytest.fixture(scope="module")
def talk() -> tuple[Pcm, list[tuple[float, float]]]:
    """Five speech segments with pauses of 2 s between them, and their times."""
    parts: list[Pcm] = [silence(2)]
    times: list[tuple[float, float]] = []
    for seed in range(5):
        start_s = sum(map(len, parts)) / RATE_HZ
        parts += [speech(3, seed=seed), silence(2)]
        times.append((start_s, start_s + len(parts[-2]) / RATE_HZ))
    return np.concatenate(parts), times


def test_each_speech_segment_is_detected(talk: tuple[Pcm, list[tuple[float, float]]]) -> None:
    samples, times = talk
    found = speech_segments(samples, VAD)
    assert len(found) == len(times)
    for (start, end), (start_s, end_s) in zip(found, times, strict=True):
        assert start / RATE_HZ == pytest.approx(start_s - 0.1, abs=0.25)
        assert end / RATE_HZ == pytest.approx(end_s + 0.1, abs=0.35)
        # no speech is lost
        assert start <= (start_s + 0.1) * RATE_HZ
        assert end >= (end_s - 0.2) * RATE_HZ


def test_segmentation_is_deterministic(
    talk: tuple[Pcm, list[tuple[float, float]]],
) -> None:
    assert speech_segments(talk[0], VAD) == speech_segments(talk[0], VAD)


@pytest.mark.parametrize("longest_s", [2.0, 5.0, 8.0])
def test_endless_speech_is_cut_to_the_maximum_duration(longest_s: float) -> None:
    samples = speech(30)
    settings = Normalise(segment="vad", max_duration_s=longest_s)
    found = speech_segments(samples, settings)
    assert all(0 < end - start <= longest_s * RATE_HZ for start, end in found)
    assert all(end <= start for (_, end), (start, _) in pairwise(found))
    assert sum(end - start for start, end in found) > 0.9 * len(samples)
    # and not into crumbs
    assert len(found) <= 2 * len(samples) / (longest_s * RATE_HZ) + 1


def test_a_long_recording_is_processed_in_blocks(
    monkeypatch: pytest.MonkeyPatch, talk: tuple[Pcm, list[tuple[float, float]]]
) -> None:
    whole = speech_segments(talk[0], VAD)
    monkeypatch.setattr(voice_activity, "_BLOCK_SAMPLES", 512 * 50)
    in_blocks = speech_segments(talk[0], VAD)
    assert np.allclose(whole, in_blocks, atol=0.3 * RATE_HZ)


@pytest.mark.parametrize(
    "samples", [np.zeros(0, np.int16), np.zeros(RATE_HZ * 9, np.int16), silence(20)]
)
def test_no_speech_is_detected_in_silence(samples: Pcm) -> None:
    assert speech_segments(samples, VAD) == []


def test_the_number_of_torch_threads_is_restored() -> None:
    before = torch.get_num_threads()
    voice_activity._loaded.cache_clear()
    speech_segments(silence(1), VAD)
    assert torch.get_num_threads() == before


def test_channels_with_the_same_audio_count_once() -> None:
    one, other = speech(2, "ann")[:30_000], speech(2, "bob", seed=1)[:30_000]
    silent = np.zeros_like(one)
    assert distinct_channels(np.stack([one, other], axis=1)) == [0, 1]
    assert distinct_channels(np.stack([one, one // 2], axis=1)) == [0]
    assert distinct_channels(np.stack([one, -one, other], axis=1)) == [0, 2]
    assert distinct_channels(np.stack([silent, one, silent], axis=1)) == [0, 1]


def row(**changes: Any) -> dict[str, Any]:
    return {
        "shard": 0, "id": "talk", "recording_id": "talk", "speaker_id": None, "file": "raw/talk",
        "offset": 0, "size": 1, "column": None, "row": None, "channel": 0, "start_s": 0.0,
        "end_s": None, "pieces_s": None, "raw_text": "", **changes,
    }  # fmt: skip


@pytest.fixture
def outcomes() -> Callable[..., list[Any]]:
    def make(samples: Pcm, *rows: dict[str, Any], settings: Normalise = VAD) -> list[Any]:
        wave = encoded(samples, "WAV", "PCM_16")
        table = pa.Table.from_pylist(list(rows) or [row()], schema=PLAN)
        return list(normalise_shard(table, lambda _: wave, KEY, settings))

    return make


def rows_of(outcomes: list[Any]) -> list[dict[str, Any]]:
    return [one for o in outcomes if isinstance(o, pa.RecordBatch) for one in o.to_pylist()]


def rejected(outcomes: list[Any]) -> dict[str, str]:
    return {one.id: one.reason for one in outcomes if isinstance(one, Rejected)}


def test_a_long_recording_becomes_its_segments(
    outcomes: Callable[..., list[Any]], talk: tuple[Pcm, list[tuple[float, float]]]
) -> None:
    samples, times = talk
    made = outcomes(samples)
    rows = rows_of(made)
    assert rejected(made) == {"talk": "segmented"}
    assert [Created(tuple(one["id"] for one in rows))] == [
        one for one in made if isinstance(one, Created)
    ]
    assert len(rows) == len(times)
    for one in rows:
        start, end = round(one["start_s"] * RATE_HZ), round(one["duration_s"] * RATE_HZ)
        assert np.array_equal(
            decode(one["audio"]["bytes"]).samples[:, 0], samples[start : start + end]
        )
        end_s = one["start_s"] + one["duration_s"]
        assert one["id"] == f"talk-{round(one['start_s'] * 100):07d}-{round(end_s * 100):07d}"
        assert (one["recording_id"], one["speaker_id"], one["raw_text"]) == ("talk", None, "")
    assert [one["id"] for one in rows] == sorted(one["id"] for one in rows)


def test_the_row_law_holds(
    store: Store, outcomes: Callable[..., list[Any]], talk: tuple[Pcm, list[tuple[float, float]]]
) -> None:
    receipt = Commit(
        store=store,
        table=NORMALISE.table,
        place=Place(stage="normalise", fingerprint="f00d", key=KEY),
        sources=("a" * 64,),
        ids_in=["talk", "text"],
        max_quarantined_percent=0,
    )(iter(outcomes(talk[0], row(), row(id="text", raw_text="said"))))
    counts = receipt.counts
    assert (counts.rows_in, counts.created, counts.rows_out) == (2, 5, 5)
    assert counts.dropped == {"segmented": 1, "too_long": 1}


@pytest.mark.parametrize(
    ("changes", "settings"),
    [({"raw_text": "WHAT WAS SAID"}, VAD), ({}, Normalise(max_duration_s=8.0))],
    ids=["with a text", "not asked for"],
)
def test_a_long_recording_with_a_text_is_dropped_as_too_long(
    outcomes: Callable[..., list[Any]], changes: dict[str, Any], settings: Normalise
) -> None:
    made = outcomes(speech(9), row(**changes), settings=settings)
    assert rejected(made) == {"talk": "too_long"}
    assert not rows_of(made)


def test_a_short_recording_is_kept_whole(outcomes: Callable[..., list[Any]]) -> None:
    samples = np.concatenate([speech(2), silence(2)])
    [one] = rows_of(outcomes(samples))
    assert (one["id"], one["duration_s"]) == ("talk", len(samples) / RATE_HZ)


def test_a_recording_without_speech_is_dropped(outcomes: Callable[..., list[Any]]) -> None:
    made = outcomes(silence(20))
    assert rejected(made) == {"talk": "no_speech"}
    assert len(made) == 1


@pytest.mark.parametrize("pause_s", [2.0, 9.0], ids=["short", "long"])
def test_the_sides_of_a_call_are_two_speakers(
    outcomes: Callable[..., list[Any]], pause_s: float
) -> None:
    first, second = speech(2, "ann"), speech(2, "bob", seed=1)
    left = np.concatenate([first, silence(pause_s + len(second) / RATE_HZ)])
    right = np.concatenate([silence(pause_s + len(first) / RATE_HZ), second])
    made = outcomes(np.stack([left[: len(right)], right[: len(left)]], axis=1))
    assert rejected(made) == {"talk": "segmented"}
    ann, bob = rows_of(made)
    assert (ann["speaker_id"], bob["speaker_id"]) == ("talk-A", "talk-B")
    assert ann["id"].startswith("talk-A-0000") and bob["id"].startswith("talk-B-0")
    assert {ann["recording_id"], bob["recording_id"]} == {"talk"}
    assert bob["start_s"] > ann["start_s"] + ann["duration_s"]


def test_equal_stereo_channels_are_one_speaker(outcomes: Callable[..., list[Any]]) -> None:
    samples = speech(3)
    [one] = rows_of(outcomes(np.stack([samples, samples], axis=1)))
    assert (one["id"], one["speaker_id"]) == ("talk", None)


def test_a_named_speaker_keeps_the_channel(outcomes: Callable[..., list[Any]]) -> None:
    both = np.stack([speech(9, "ann")[:140_000], speech(9, "bob", seed=1)[:140_000]], axis=1)
    made = outcomes(both, row(speaker_id="bob", channel=1, start_s=0.5))
    rows = rows_of(made)
    assert {one["speaker_id"] for one in rows} == {"bob"}
    assert all(one["start_s"] >= 0.5 and one["duration_s"] <= 8 for one in rows)
    first = rows[0]
    start = round(first["start_s"] * RATE_HZ)
    found = decode(first["audio"]["bytes"]).samples[:, 0]
    assert np.array_equal(found, both[start : start + len(found), 1])


def test_a_missing_channel_is_quarantined(outcomes: Callable[..., list[Any]]) -> None:
    made = outcomes(speech(9), row(speaker_id="bob", channel=1))
    assert rejected(made) == {"talk": "no_such_channel"}


def test_pieces_that_are_too_short_are_counted(
    outcomes: Callable[..., list[Any]], talk: tuple[Pcm, list[tuple[float, float]]]
) -> None:
    settings = Normalise(segment="vad", max_duration_s=8.0, min_duration_s=7.9)
    made = outcomes(talk[0], settings=settings)
    reasons = rejected(made)
    assert list(reasons.values()) == ["segmented"] + ["too_short"] * 5
    assert not rows_of(made)
