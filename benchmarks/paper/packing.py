"""What packing gains: two runs over the same speech that differ in `label.pack` alone.

    python -m benchmarks.paper.packing

Labels differ, so this is no grid over the labels of the experiment. Both see as many windows, which
is what a training costs; those of single utterances have more padding and fewer words.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.paper.steps import CONFIG, CORPUS
from configs.evaluate import STUDENT
from configs.load import load_config
from flows.state.evaluation.comparison import compare_runs
from flows.state.publication import HolesError
from flows.tables.words import change_text, ends_text, percent_text
from storage.errors import UserError
from storage.store import Store
from tasks.evaluate.findings import CLEAN
from tasks.evaluate.statistics.comparison import RunDifference

_SPEECH: Final = {"books": 1.0, CORPUS: None}
"""The corpora, and the hours of each split."""
_PACKS: Final = {"packed": "any", "single": "none"}
_DISTIL: Final = {
    "decoder_layers": 4, "layer_choice": "auto", "peak_learning_rate": 1e-4, "num_steps": 80,
    "num_warmup_steps": 8, "evaluate_every_steps": 80, "freeze_embeddings": False,
    "freeze_positions": False,
}  # fmt: skip
_EVALUATE: Final = {
    "num_timing_rounds": 1, "num_timed_utterances": 2, "timing_batch_sizes": [1],
    "speculative": False,
}  # fmt: skip


def main() -> None:
    """Write both configurations and run them; what is done is not done again."""
    base = yaml.safe_load(Path(CONFIG).read_text())
    for name, path in configurations(base["root"]).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(variant(base, name), sort_keys=False)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        done = subprocess.run([sys.executable, "-m", "distillery", "run", str(path)], check=False)
        if done.returncode:
            raise SystemExit(done.returncode)


def configurations(root: str) -> Mapping[str, Path]:
    """The file of each variant, by its name."""
    return {name: Path(root) / "packing" / f"{name}.yaml" for name in _PACKS}


def variant(base: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The settings of the experiment over less speech and with a short training.

    `name` is a key of `configurations`.
    """
    corpora = {
        corpus: {**base["corpora"][corpus], "limit_hours": hours}
        for corpus, hours in _SPEECH.items()
    }
    return {
        **base,
        "corpora": corpora,
        "label": {**base["label"], "pack": _PACKS[name]},
        "publish": {"name": f"{base['publish']['name']}-{name}"},
        "distil": {**base["distil"], **_DISTIL},
        "evaluate": _EVALUATE,
    }


def packing_effect(root: str) -> Sequence[RunDifference]:
    """How single utterances differ from packed windows, on clean speech; none if not evaluated."""
    found = configurations(root)
    if not all(path.exists() for path in found.values()):
        return ()
    runs = []
    for path in found.values():
        config = load_config(str(path))
        runs.append((path, config, Store(config.root, config.runtime.scratch)))
    try:
        rows = compare_runs(*runs).rows
    except (UserError, HolesError):
        return ()
    return [one for one in rows if (one.model, one.condition) == (STUDENT, CLEAN) and one.set]


def packing_sentences(effect: Sequence[RunDifference]) -> Iterator[str]:
    """What was found on each set."""
    for one in effect:
        single, packed = (percent_text(rate) for rate in (one.wer_percent_b, one.wer_percent_a))
        yield (
            f"Trained on an hour in windows of single utterances, a student has {single} % on"
            f" {one.set}, and with utterances packed into windows {packed} %, after as many"
            f" windows: {change_text(one.difference)} points ({ends_text(one.interval)})."
        )


if __name__ == "__main__":
    main()
