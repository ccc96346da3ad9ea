"""A manifest as a stream for training code: divided, mixed, resumed at the exact example."""

import json
from collections import Counter
from itertools import chain, islice

import numpy as np
import pytest
from torch.utils.data import DataLoader

from benchmarks.noise_manifest import flac, voice_of, write_manifest
from storage.errors import IntegrityError, UserError
from storage.store import Store
from tasks.audio import decode_flac
from tasks.reading.mixture import Mixture
from tasks.reading.partition import Consumer
from tasks.reading.stream import open_manifest

SIZES = {"clean": [7, 5, 9], "noisy": [6, 2]}
TOTAL = 29
DURATION_S = 0.05
everywhere = pytest.mark.parametrize("root", ["local", "s3"], indirect=True)


@pytest.fixture
def root(root: str) -> str:
    write_manifest(
        Store(root), "noise", SIZES, duration_s=DURATION_S, utterances_per_window=2,
        row_group_bytes=4_000,
    )  # fmt: skip
    return root


@pytest.fixture
def opened(root, tmp_path):
    def make(**options):
        options = {"num_open": 2, "num_buffered": 4, "scratch": str(tmp_path / "copies")} | options
        return open_manifest(root, "noise", **options)

    return make


def ids(samples) -> list[str]:
    return [sample.window_id for sample in samples]


def given(samples):
    return samples


def loader(stream, batch_size=4, num_workers=2, **options) -> DataLoader:
    return DataLoader(
        stream, batch_size=batch_size, num_workers=num_workers, collate_fn=ids, **options
    )


@everywhere
def test_an_epoch_yields_each_window_once_with_its_audio_and_label(opened, tmp_path) -> None:
    """The last window is included, and rows are joined by id, not by position."""
    samples = list(opened(num_epochs=1))
    assert len(samples) == len(set(ids(samples))) == TOTAL == opened().num_examples
    for sample in samples:
        spoken = [decode_flac(flac(voice_of(name), DURATION_S)) for name in sample.utterance_ids]
        assert sample.utterance_ids == tuple(f"{sample.window_id}_{n}" for n in range(2))
        assert sample.samples.dtype == np.float32
        assert np.array_equal(sample.samples, np.concatenate(spoken))
        assert sample.text == f"this is {sample.window_id}"
        corpus, _, place = sample.window_id.split("-")
        assert sample.corpus == corpus
        assert sample.tokens.dtype == np.int64
        assert sample.tokens.tolist() == [11, 12, 15, 16, int(place) % 10, 10]
        if int(place) % 3:
            before = sample.window_id.removesuffix(place) + str(int(place) - 1)
            assert sample.previous_text == f"this is {before}"
            assert sample.previous_tokens.tolist()[4] == (int(place) - 1) % 10
        else:
            assert sample.previous_text is sample.previous_tokens is None
    copies = tmp_path / "copies"
    assert not copies.exists() or not list(copies.iterdir())


@pytest.mark.parametrize("world_size", [1, 2, 3, 29])
def test_an_epoch_is_divided_among_ranks(opened, world_size) -> None:
    streams = [opened(num_epochs=1, rank=rank, world_size=world_size) for rank in range(world_size)]
    found = [ids(stream) for stream in streams]
    assert Counter(chain(*found)) == Counter(ids(opened(num_epochs=1)))


def test_the_rank_is_that_of_torch_distributed(opened, monkeypatch) -> None:
    expected = ids(opened(num_epochs=1, rank=1, world_size=2))
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    assert ids(opened(num_epochs=1)) == expected


@everywhere
def test_an_epoch_is_divided_among_ranks_and_workers_with_its_last_partial_batch(opened) -> None:
    seen = [list(loader(opened(num_epochs=1, rank=rank, world_size=2))) for rank in range(2)]
    assert Counter(chain(*chain(*seen))) == Counter(ids(opened(num_epochs=1)))
    sizes = [len(batch) for batches in seen for batch in batches]
    assert sum(sizes) == TOTAL
    assert min(sizes) < 4


@pytest.mark.parametrize(("uneven", "num"), [("drop", 7), ("wrap", 8)])
def test_parts_can_be_made_equal(opened, uneven, num) -> None:
    streams = [opened(num_epochs=2, rank=rank, world_size=4, uneven=uneven) for rank in range(4)]
    assert [len(list(stream)) for stream in streams] == [2 * num] * 4


def test_more_readers_than_windows_are_refused(opened) -> None:
    with pytest.raises(UserError, match="29 windows cannot be divided among 30 readers"):
        next(iter(opened(rank=0, world_size=30)))


def test_a_stream_resumes_at_the_exact_example(opened) -> None:
    """Resuming in the middle of an epoch does not shuffle it again."""
    whole = ids(islice(opened(rank=1, world_size=2), 60))
    for num_seen in (0, 1, 13, 14, 15, 40):
        stream = opened(rank=1, world_size=2)
        iterator = iter(stream)
        assert ids(islice(iterator, num_seen)) == whole[:num_seen]
        state = json.loads(json.dumps(stream.state_dict()))
        again = opened(rank=1, world_size=2)
        again.load_state_dict(state)
        assert again.state_dict() == state
        assert ids(islice(again, 60 - num_seen)) == whole[num_seen:]


@pytest.mark.parametrize("num_workers", [0, 1, 2])
@pytest.mark.parametrize("num_epochs", [None, 2])
def test_a_loader_resumes_at_the_exact_batch(opened, num_workers, num_epochs) -> None:
    whole = list(islice(loader(opened(num_epochs=num_epochs), num_workers=num_workers), 30))
    for num_batches in (1, 6, 9):
        stream = opened(num_epochs=num_epochs)
        stream.load_state_dict(
            stream.state_after(num_batches, batch_size=4, num_workers=num_workers)
        )
        rest = islice(loader(stream, num_workers=num_workers), 30 - num_batches)
        assert list(rest) == whole[num_batches:]


class Stateful:
    """Collates as a worker of torchdata's `StatefulDataLoader`: a state with each batch."""

    def __init__(self, stream) -> None:
        self.stream = stream

    def __call__(self, samples):
        from torch.utils.data import get_worker_info

        return ids(samples), get_worker_info().id, get_worker_info().dataset.state_dict()


def test_each_worker_has_its_own_state(opened) -> None:
    stream = opened()
    batches = DataLoader(stream, batch_size=3, num_workers=2, collate_fn=Stateful(stream))
    states = [(worker, state["num_consumed"]) for _, worker, state in islice(batches, 4)]
    assert states == [(0, {"0": 3}), (1, {"1": 3}), (0, {"0": 6}), (1, {"1": 6})]


def test_a_state_of_other_options_is_refused(opened) -> None:
    state = opened(seed=1).state_dict()
    with pytest.raises(UserError, match="taken with seed 1, this stream has 0"):
        opened().load_state_dict(state)


def test_a_state_of_another_number_of_workers_is_refused(opened) -> None:
    stream = opened()
    stream.load_state_dict(stream.state_after(3, batch_size=4, num_workers=2))
    with pytest.raises(UserError, match="taken with 2 workers"):
        next(iter(stream))


def test_corpora_are_mixed_by_weight_and_resumed(opened) -> None:
    def stream():
        return opened(weights={"noisy": 3.0, "clean": 1.0}, num_buffered=8)

    whole = [(sample.corpus, sample.window_id) for sample in islice(stream(), 2_000)]
    shares = Counter(corpus for corpus, _ in whole)
    assert shares["noisy"] / 2_000 == pytest.approx(0.75, abs=0.03)
    clean = [window for corpus, window in whole if corpus == "clean"]
    assert len(set(clean[:21])) == 21  # each corpus has its own epochs
    again = stream()
    again.load_state_dict(again.state_after(777, batch_size=1))
    rest = [(sample.corpus, sample.window_id) for sample in islice(again, 100)]
    assert rest == whole[777:877]


def test_a_mixture_resumes_beyond_a_block_of_draws() -> None:
    class Numbers:
        def __init__(self, name):
            self.name = name

        def stream(self, num_consumed):
            while True:
                yield (self.name, num_consumed)
                num_consumed += 1

    def mixed():
        return Mixture([Numbers("a"), Numbers("b")], [1, 2], seed=5, consumer=Consumer(1, 3))

    whole = list(islice(mixed().stream(0), 9_000))
    for num_consumed in (4_095, 4_096, 8_193):
        assert list(islice(mixed().stream(num_consumed), 50)) == whole[num_consumed:][:50]


def test_a_corpus_without_weight_is_left_out(opened) -> None:
    assert {sample.corpus for sample in islice(opened(weights={"clean": 1.0}), 50)} == {"clean"}


@pytest.mark.parametrize("weights", [{"other": 1.0}, {"clean": 0.0}, {"clean": -1.0}, {}])
def test_invalid_weights_are_refused(opened, weights) -> None:
    with pytest.raises(UserError, match=r"weights are .* clean, noisy"):
        opened(weights=weights)


def test_weights_with_epochs_are_refused(opened) -> None:
    with pytest.raises(UserError, match="num_epochs is 1, and a mixture by weights is endless"):
        opened(weights={"clean": 1.0}, num_epochs=1)


def test_a_url_gives_root_name_and_number(root) -> None:
    whole = ids(open_manifest(root, "noise", num_epochs=1))
    for url in (f"{root}/manifests/noise", f"{root}/manifests/noise/00001.json"):
        assert ids(open_manifest(url, num_epochs=1)) == whole
    with pytest.raises(UserError, match="is not the URL of a manifest"):
        open_manifest(root)


def test_a_changed_file_is_refused(root, opened) -> None:
    file = next(entry.files["normalise"] for entry in opened().entries)
    path = f"{root}/{file.path}"
    with open(path, "r+b") as audio:
        audio.seek(-1, 2)
        last = audio.read(1)
        audio.seek(-1, 2)
        audio.write(bytes([last[0] ^ 1]))
    with pytest.raises(IntegrityError, match=file.path):
        list(opened(num_epochs=1))


@pytest.mark.parametrize("root", ["s3"], indirect=True)
def test_few_copies_of_remote_files_exist_at_once(opened, tmp_path) -> None:
    copies = tmp_path / "copies"
    most = 0
    for _ in opened(num_epochs=2, num_open=1, num_buffered=20):
        most = max(most, len(list(copies.iterdir())))
    assert 0 < most <= 3 * (1 + 1)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_datasets_reads_the_same_examples(opened, num_workers) -> None:
    rows = opened().to_iterable_dataset(num_shards=3)
    assert rows.num_shards == 3
    found = list(DataLoader(rows, batch_size=None, num_workers=num_workers, collate_fn=given))
    assert Counter(row["window_id"] for row in found) == Counter(ids(opened(num_epochs=1)))
    assert found[0]["samples"].dtype == np.float32
