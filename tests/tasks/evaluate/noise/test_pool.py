from itertools import chain

import numpy as np
import pyarrow.parquet as pq
import pytest

from configs.evaluate import Noise
from storage.errors import IntegrityError, UserError
from storage.store import Store
from tasks.audio import encode_flac
from tasks.evaluate.noise import pool as pool_module
from tasks.evaluate.noise.babble import Babble, Voice
from tasks.evaluate.noise.mixing import power
from tasks.evaluate.noise.pool import babble_pool
from tests.tasks.evaluate.noise.speakers import shard, tone_row, tones_in
from tests.tasks.evaluate.noise.spoken import spoken

NOISE = Noise()


def speakers(pool):
    return sorted(one.voice.speaker_id for one in pool.talkers)


def rows_of(tones, **changes):
    return [tone_row(f"t{tone}-{part}", tone, **changes) for part in range(2) for tone in tones]


@pytest.fixture
def eight(store):
    return shard(store, "eight.parquet", rows_of(range(1, 9)))


def test_each_speaker_is_one_talker_of_power_one(store, eight):
    pool = babble_pool(store, [eight], NOISE)
    assert speakers(pool) == sorted(f"speaker{tone}" for tone in range(1, 9))
    for one in pool.talkers:
        assert len(one.samples) == 32_000  # both of its utterances
        assert power(one.samples) == pytest.approx(1)
        (tone,) = tones_in(one.samples[:16_000])
        assert one.voice.speaker_id == f"speaker{tone}"
        assert one.voice.recording_ids == {f"tape{tone}"}


def test_babble_of_a_pool_has_six_other_speakers(store, eight):
    pool = babble_pool(store, [eight], NOISE)
    source = Babble(pool=pool, corpus="tones", num_speakers=6, seed=0)
    for own in range(1, 9):
        found = tones_in(source.noise_for(spoken(f"t{own}", speaker=f"speaker{own}")))
        assert len(found) == 6
        assert own not in found


def test_a_large_pool_has_four_times_the_speakers_and_depends_on_the_seed(store):
    files = [
        shard(store, f"{first}.parquet", rows_of(range(first, first + 20))) for first in (1, 21, 41)
    ]
    pool = babble_pool(store, files, NOISE)
    assert len(set(speakers(pool))) == 24
    again = babble_pool(Store(store.root), files[::-1], NOISE.model_copy(update={"seed": 1}))
    assert len(set(speakers(again))) == 24
    assert speakers(again) != speakers(pool)


def test_the_order_of_files_does_not_matter(store):
    files = [
        shard(store, f"{first}.parquet", rows_of(range(first, first + 20))) for first in (1, 21)
    ]
    pools = []
    for order in (files, files[::-1]):
        pool_module._read.cache_clear()
        pools.append(babble_pool(store, order, NOISE))
    for one, other in zip(*(pool.talkers for pool in pools), strict=True):
        assert one.voice == other.voice
        assert np.array_equal(one.samples, other.samples)


def test_a_speaker_of_several_shards_is_one(store):
    files = [
        shard(store, f"{part}.parquet", [tone_row(f"t{tone}-{part}", tone) for tone in range(1, 9)])
        for part in range(3)
    ]
    assert len(babble_pool(store, files, NOISE).talkers) == 8


def test_an_unknown_speaker_is_one_of_each_recording(store):
    unknown = rows_of(range(1, 8), speaker_id=None)
    known = [tone_row("known", 9, recording_id="tape1"), tone_row("guest", 10)]
    pool = babble_pool(store, [shard(store, "a.parquet", unknown + known)], NOISE)
    recordings = list(chain.from_iterable(one.voice.recording_ids for one in pool.talkers))
    assert len(recordings) == len(set(recordings)) == 8


def test_only_the_audio_of_talkers_is_read(store, monkeypatch):
    rows = rows_of(range(1, 61))
    file = shard(store, "a.parquet", rows, per_group=1)
    read = []
    original = pq.ParquetFile.read_row_group

    def counted(self, group, **options):
        read.append(group)
        return original(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    pool = babble_pool(store, [file], NOISE)
    assert {rows[group]["speaker_id"] for group in read} == set(speakers(pool))
    assert len(read) == 48


def test_speech_of_thirty_seconds_is_enough(store):
    many = [tone_row(f"t{tone}-{part}", tone) for tone in range(1, 9) for part in range(40)]
    pool = babble_pool(store, [shard(store, "a.parquet", many, per_group=50)], NOISE)
    assert {len(one.samples) for one in pool.talkers} == {30 * 16_000}


def test_what_is_silent_or_damaged_is_no_speech(store):
    silence = encode_flac(np.zeros(16_000, np.int16))
    rows = rows_of(range(1, 8))
    rows += rows_of([8], audio={"bytes": silence, "path": "silence.flac"})
    rows += rows_of([9], audio={"bytes": b"?", "path": "broken.flac"})
    rows.append(tone_row("t7-2", 7, audio={"bytes": b"?", "path": "broken.flac"}))
    pool = babble_pool(store, [shard(store, "a.parquet", rows)], NOISE)
    assert speakers(pool) == [f"speaker{tone}" for tone in range(1, 8)]


def test_too_few_speakers_are_an_error_of_one_line(store):
    file = shard(store, "a.parquet", rows_of(range(1, 7)))
    with pytest.raises(UserError) as error:
        babble_pool(store, [file], NOISE)
    assert str(error.value) == (
        "evaluate.noise.kinds has babble, for which the held-out speech has 6 distinct speakers,"
        " expected at least 7; remove babble from evaluate.noise.kinds"
    )


def test_a_damaged_file_is_an_integrity_error(store, eight):
    with pytest.raises(IntegrityError):
        babble_pool(store, [eight.model_copy(update={"sha256": "0" * 64})], NOISE)


def test_somebody_unknown_may_be_anybody_in_the_recording(store):
    """Also a talker whose speech in the pool is that of another recording."""
    known = [tone_row(f"a{part}", 1, duration_s=30.0) for part in range(8)]
    known += [tone_row("b", 1, duration_s=30.0, recording_id="both")]
    others = rows_of(range(2, 8))
    pool = babble_pool(store, [shard(store, "a.parquet", known + others)], NOISE)
    (talker,) = [one for one in pool.talkers if one.voice.speaker_id == "speaker1"]
    unknown = Voice("tones", None, frozenset({"both"}))
    assert talker.voice.may_be(unknown)
    assert unknown.may_be(talker.voice)
