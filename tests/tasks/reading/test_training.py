"""The examples of a training: every window of an epoch, or corpora by their weights."""

from collections import Counter
from itertools import islice

import pytest

from benchmarks.noise_manifest import write_manifest
from configs.schema import Distil
from storage.errors import UserError
from storage.store import Store
from tasks.reading.examples import ExampleSource
from tasks.reading.reader import ManifestReader
from tasks.reading.training import training_examples
from tests.tasks.reading.test_reader import SPECIAL

SIZES = {"clean": [7, 5, 9], "noisy": [6, 2], "other": [4]}
NUM_WINDOWS = 33


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("root")))
    write_manifest(store, "noise", SIZES)
    return store


@pytest.fixture
def entries(store: Store):
    return write_manifest(store, "noise", SIZES).content.entries


def windows(source: ExampleSource, num: int, start: int = 0) -> list[tuple[str, str, str]]:
    return [
        (one.corpus, one.window_id, one.draw) for one in islice(source.stream(start), num)
    ]  # fmt: skip


def test_without_weights_an_epoch_has_each_window_once(store: Store, entries) -> None:
    plain = ManifestReader(entries, store.fetch, SPECIAL, seed=3, timestamp_probability=0.5)
    found = windows(training_examples(Distil(seed=3), entries, store.fetch, SPECIAL), 40)
    assert found == windows(plain, 40)
    assert len({window for _, window, _ in found[:NUM_WINDOWS]}) == NUM_WINDOWS


def test_windows_of_a_weight_are_seen_so_many_times_as_often(store: Store, entries) -> None:
    settings = Distil(corpus_weights={"noisy": 3.0, "other": 0.5})
    num_epochs = 60
    per_epoch = settings.weighted({"clean": 21, "noisy": 8, "other": 4})
    assert per_epoch == 47
    source = training_examples(settings, entries, store.fetch, SPECIAL)
    found = windows(source, num_epochs * 47)
    times = Counter(window for _, window, _ in found)
    by_corpus: dict[str, list[int]] = {}
    for corpus, window in {(corpus, window) for corpus, window, _ in found}:
        by_corpus.setdefault(corpus, []).append(times[window])
    assert {name: len(counts) for name, counts in by_corpus.items()} == {
        "clean": 21, "noisy": 8, "other": 4,
    }  # fmt: skip
    for corpus, weight in (("clean", 1.0), ("noisy", 3.0), ("other", 0.5)):
        counts = by_corpus[corpus]
        assert sum(counts) / len(counts) == pytest.approx(weight * num_epochs, rel=0.2)
        assert max(counts) - min(counts) <= 1  # each corpus goes through its windows in epochs
    assert len({draw for _, _, draw in found}) == len(found)  # with other choices each time


def test_a_mixture_is_the_same_again_and_from_any_position(store: Store, entries) -> None:
    settings = Distil(corpus_weights={"noisy": 3.0})

    def source(**options: int) -> ExampleSource:
        changed = settings.model_copy(update=options)
        return training_examples(changed, entries, store.fetch, SPECIAL)

    whole = windows(source(), 150)
    for start in (1, 40, 111):
        assert windows(source(), 30, start) == whole[start : start + 30]
    assert windows(source(seed=1), 150) != whole


def test_a_weight_of_0_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        Distil(corpus_weights={"clean": 0.0})


@pytest.mark.parametrize("weights", [{}, {"clean": 2.0}])
def test_no_windows_are_no_training_data(store: Store, weights: dict[str, float]) -> None:
    with pytest.raises(UserError, match="there is no training data"):
        training_examples(Distil(corpus_weights=weights), [], store.fetch, SPECIAL)
