"""What is known of the current student, without running a pipeline."""

from typing import Any

import pytest

from configs.schema import RunConfig
from flows.state.corpus_state import corpus_states
from flows.student import CurrentStudent, speech_to_compare_on, student_facts
from storage.errors import UserError
from storage.manifest import Content, Manifest, ManifestEntry
from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tests.flows.running import TEACHER

FILE = FileRef(path="distil/f/student/model.safetensors", sha256="a" * 64, size_bytes=1)


def student_of(store: Store, splits: list[str], **distil: Any) -> CurrentStudent:
    """A student of 600 and 400 windows of two corpora; the store has neither."""
    config = RunConfig.model_validate(
        {
            "root": store.root,
            "corpora": {
                "librispeech": {"splits": splits},
                "mini_librispeech": {"splits": ["train-clean-5"]},
            },
            "label": {"teacher": {"path": str(TEACHER)}},
            "publish": {"name": "x"},
            "distil": distil,
        }
    )
    entries = tuple(
        ManifestEntry(
            key=ShardKey(corpus, "train", 0), files={"filter": FILE},
            num_windows=num, num_utterances=num, hours=1.0,
        )
        for corpus, num in (("librispeech", 600), ("mini_librispeech", 400))
    )  # fmt: skip
    content = Content(name="x", entries=entries, fingerprints={}, parameters={})
    manifest = Manifest(
        number=1, parent=None, digest=content.digest(), root=store.root, content=content,
        published_at="2026-01-02T03:04:05+00:00", versions={}, licences={}, totals={},
    )  # fmt: skip
    receipt = Receipt(
        stage="distil", fingerprint="f", key=ShardKey("all", "x", 1), output=FILE,
        source_digest=manifest.digest, counts=Counts(),
    )  # fmt: skip
    return CurrentStudent(config, store, corpus_states(config, store), manifest, receipt)


def test_updates_are_those_of_a_training_with_weights_of_corpora(store: Store) -> None:
    student = student_of(
        store, ["train-clean-100"], num_epochs=2, batch_size=16, corpus_weights={"librispeech": 2}
    )
    facts = student_facts(student, TEACHER)
    assert (facts.num_steps, facts.window_samples) == (200, 128_000)


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        (["train-clean-100"], "neither validation nor test speech, on which"),
        (
            ["train-clean-100", "test-clean"],
            "test speech is missing: download .*; `distillery run CONFIG` makes it",
        ),
    ],
)
def test_speech_that_is_missing_is_not_speech_that_is_not_chosen(
    store: Store, splits: list[str], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        speech_to_compare_on(student_of(store, splits))
