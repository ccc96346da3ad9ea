"""Whether students leave the teacher's encoder as it was, and its text where they draft for it.

    python -m benchmarks.paper.identity

Each student of the experiment drafts for the teacher on every test utterance of `CORPUS`, greedily
and with fallback. This is done in float32, because in bfloat16 rounding decides between tokens that
are about equally likely (docs/engines.md). What was found for the same models and speech is not
found again.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.paper.steps import CONFIG, CORPUS
from benchmarks.paper.students import read_students
from benchmarks.speculative import compared
from configs.load import load_config
from configs.schema import RunConfig
from flows.report.facts import Facts
from flows.state.evaluation.measured_models import measured_models
from flows.state.models import held_out
from flows.state.publication import HolesError
from storage.fingerprint import digest
from storage.receipt import FileRef
from storage.store import Store
from tasks.evaluate.engine import encodings_of, model_source, teachers_window
from tasks.evaluate.models import MeasuredModel
from tasks.evaluate.timed_speech import timed_sample
from tasks.whisper.encoding.cache import module_digest
from tasks.whisper.engine import AudioWindow
from tasks.whisper.model import LoadedWhisper, load_whisper

FILE: Final = "identity.json"
_BATCH_SIZES: Final = (16,)
_DTYPE: Final = "float32"
_ALL: Final = 1_000_000

Found = Mapping[str, Any]
"""`key` of models and speech, and `rows` of `compared`."""


def main() -> None:
    """Compare, unless it is done, and print what was found."""
    config = load_config(CONFIG)
    store = Store(config.root, config.runtime.scratch)
    students = read_students(store)
    if untrained := [label for label, one in students.items() if one.student is None]:
        raise SystemExit(f"not trained yet: {', '.join(untrained)}; first: make paper SPEECH=DIR")
    for line in encoder_sentences(same_encoders(config, store, students)):
        sys.stdout.write(f"{line}\n")
    if (found := read_identity(config, students)) is None:
        sys.stdout.write("comparing tokens\n")
        sys.stdout.flush()
        found = compare_students(config, store, students)
        path = Path(config.root) / FILE
        part = path.with_suffix(".part")
        part.write_text(f"{json.dumps(found, indent=1)}\n")
        part.replace(path)
    for row in found["rows"]:
        sys.stdout.write(f"{token_sentence(row)}\n")


def read_identity(config: RunConfig, students: Mapping[str, Facts]) -> Found | None:
    """What was found of these students on the speech as it is; None if it was not looked for."""
    path = Path(config.root) / FILE
    if not path.exists():
        return None
    found: Found = json.loads(path.read_text())
    try:
        return found if found["key"] == _key(config, students) else None
    except HolesError:  # the speech is not there any more
        return None


def same_encoders(
    config: RunConfig, store: Store, students: Mapping[str, Facts]
) -> Mapping[str, bool]:
    """Whether the stored weights of each student's encoder are the teacher's, bit by bit."""
    return {
        label: len({_encoder_digest(config, store, model) for model in pair}) == 1
        for label, pair in _models(config, students).items()
    }


def compare_students(config: RunConfig, store: Store, students: Mapping[str, Facts]) -> Found:
    """Compare tokens with drafts to those of the teacher alone."""
    models = _models(config, students)
    teacher = _load(config, store, next(iter(models.values()))[0])
    drafts = {label: _load(config, store, student) for label, (_, student) in models.items()}
    samples = timed_sample(_speech(students), store, _ALL, teachers_window(config))
    windows = [AudioWindow(str(number), one) for number, one in enumerate(samples)]
    cache = encodings_of(teacher, store.scratch_folder(), config.runtime.encoder_cache_gb)
    return {
        "key": _key(config, students),
        "rows": [*compared(teacher, drafts, windows, _BATCH_SIZES, cache)],
    }


def encoder_sentences(encoders: Mapping[str, bool]) -> Iterator[str]:
    """A sentence on each encoder."""
    for label, is_equal in encoders.items():
        state = "is the teacher's, bit by bit" if is_equal else "differs from the teacher's"
        yield f"The encoder of {label} {state}."


def token_sentence(row: Mapping[str, Any]) -> str:
    """On one way of decoding with a draft."""
    decoding = "with fallback" if row["fallback"] else "greedy"
    return (
        f"With drafts of {row['draft']}, {decoding}, {_DTYPE}, batch {row['batch_size']}: the"
        f" teacher's tokens in {row['num_identical']:,} of {row['num_utterances']:,} windows of"
        f" {CORPUS}; {row['acceptance_percent']:.1f} % of the drafted tokens were accepted."
    )


def _load(config: RunConfig, store: Store, model: MeasuredModel) -> LoadedWhisper:
    return load_whisper(model_source(config, store, model), _DTYPE, config.runtime.device)


def _encoder_digest(config: RunConfig, store: Store, model: MeasuredModel) -> str:
    return module_digest(_load(config, store, model).model.model.encoder)


def _models(
    config: RunConfig, students: Mapping[str, Facts]
) -> Mapping[str, tuple[MeasuredModel, MeasuredModel]]:
    """The teacher and the student of each run that is trained."""
    found: dict[str, tuple[MeasuredModel, MeasuredModel]] = {}
    for label, facts in students.items():
        if facts.student is not None:
            teacher, student, *_ = measured_models(config, facts.student)
            found[label] = teacher, student
    return found


def _speech(students: Mapping[str, Facts]) -> Sequence[tuple[str, FileRef]]:
    """The normalised test shards of `CORPUS`, each with its set; they are those of every run."""
    facts = next(iter(students.values()))
    return [
        (f"{shard.key.corpus}/{shard.key.split}", shard.receipts["normalise"].output)
        for state in facts.states
        if state.name == CORPUS
        for shard in held_out(state, "test", "not compared")
    ]


def _key(config: RunConfig, students: Mapping[str, Facts]) -> str:
    models = _models(config, students)
    return digest(
        {
            "models": {label: [one.identity for one in pair] for label, pair in models.items()},
            "speech": [file.sha256 for _, file in _speech(students)],
            "batch_sizes": list(_BATCH_SIZES),
            "dtype": _DTYPE,
        }
    )


if __name__ == "__main__":
    main()
