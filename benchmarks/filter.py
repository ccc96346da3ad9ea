"""Scoring against jiwer row by row, and a sweep of thresholds over ten million windows.

    python -m benchmarks.filter [--json]

Prints scored utterances per second on one core, of `score` and of jiwer called for words and for
characters of one row after the other with the same normaliser, alternating, with the median of the
ratios of neighbouring rounds; then how long `distillery sweep` takes for evidence that is made up
in a temporary store. Without Prefect and without the network.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter, process_time
from typing import Any

import jiwer
import pyarrow as pa
import pyarrow.compute as pc
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer
from whisper_normalizer.english import EnglishSpellingNormalizer

from configs.schema import Filter
from flows.state.sweep import swept_files
from storage.commit import Commit
from storage.receipt import FileRef
from storage.shard import ShardKey
from storage.stage import Place
from storage.store import Store
from tasks.corpora.public.librispeech import LIBRISPEECH
from tasks.filter.rules import FilterContext
from tasks.label.schema import LABELS
from tasks.paper.settings import PAPER_FILTERED_PERCENT
from tasks.score.schema import EVIDENCE
from tasks.score.shard import LABEL_COLUMNS, score_shard
from tasks.score.stage import SCORE
from tasks.score.vocabulary import Vocabulary
from tasks.text.comparison import Comparison

_NUM_ROUNDS = 5
_NUM_SCORED = 2_000
_NUM_SHARDS = 50
_ROWS_PER_SHARD = 200_000
_BATCH_ROWS = 1_000
_WORDS = [
    "the", "of", "and", "to", "a", "in", "that", "he", "was", "it", "his", "is", "with", "as",
    "I", "had", "for", "at", "by", "on", "not", "you", "be", "her", "which", "have", "from",
    "this", "all", "they", "were", "she", "one", "but", "him", "so", "said", "there", "my",
    "been", "who", "when", "their", "out", "more", "up", "colour", "Mister", "don't", "twenty",
    "three", "hundred", "grey", "travelled", "upon", "doctor", "would've", "nineteen",
]  # fmt: skip
_WORD_ERROR_RATE = 0.1
ENGLISH = Comparison("english", "en")


@dataclass(frozen=True)
class Window:
    """A row of LABELS and the reference of its one utterance."""

    label: dict[str, Any]
    reference: str


def windows(num_windows: int, prefix: str) -> Iterator[Window]:
    """Windows of one utterance each, of 5 to 35 words; one word in ten is labelled wrongly."""
    chance = random.Random(prefix)
    for number in range(num_windows):
        words = chance.choices(_WORDS, k=chance.randint(5, 35))
        heard = [
            chance.choice(_WORDS) if chance.random() < _WORD_ERROR_RATE else word for word in words
        ]
        name = f"{prefix}-{number:08d}"
        label = {
            "window_id": name,
            "utterance_ids": [name],
            "offsets_s": [0.0],
            "duration_s": len(words) / 2.8,
            "pseudo_text": f"{' '.join(heard)}.",
            "pseudo_tokens": [50258, 50259, 50359, *range(300, 300 + len(heard)), 50257],
            "language": "en",
            "flags": [],
            "avg_logprob": -chance.random(),
            "no_speech_prob": chance.random() / 10,
            "compression_ratio": 1 + chance.random(),
        }
        yield Window(label, " ".join(words))


def plain_english() -> Callable[[str], str]:
    """The normaliser as a script takes it from transformers."""
    return EnglishTextNormalizer(EnglishSpellingNormalizer().mapping)


def scored_by_jiwer(rows: list[Window]) -> None:
    """What a script does: normalise both sides of a row and ask jiwer for both rates."""
    normalise = plain_english()
    for row in rows:
        reference, hypothesis = normalise(row.reference), normalise(row.label["pseudo_text"])
        jiwer.process_words(reference, hypothesis)
        jiwer.process_characters(reference, hypothesis)


def scored_by_us(tables: tuple[pa.Table, pa.Table]) -> pa.Table:
    """What the stage does with the same rows, from the tables that it reads to those it writes."""
    labels, references = tables
    made = score_shard(labels, references, str, ENGLISH, lambda: Vocabulary((), None))
    return pa.Table.from_batches([one for one in made if isinstance(one, pa.RecordBatch)])


def as_tables(rows: list[Window]) -> tuple[pa.Table, pa.Table]:
    """The labels, and the columns of a normalised shard that go with them."""
    labels = pa.table(
        {
            name: pa.array([row.label[name] for row in rows], LABELS.field(name).type)
            for name in LABEL_COLUMNS
        }
    )
    names = [row.label["window_id"] for row in rows]
    references = {"id": names, "speaker_id": names, "raw_text": [row.reference for row in rows]}
    return labels, pa.table(references)


def score_rounds() -> list[dict[str, float]]:
    """Utterances per second of a core, of both, in rounds that alternate."""
    rows = list(windows(_NUM_SCORED, "warm"))
    scored_by_us(as_tables(rows[:50]))
    scored_by_jiwer(rows[:50])
    rounds = []
    for number in range(_NUM_ROUNDS):
        rows = list(windows(_NUM_SCORED, f"round{number}"))
        found: dict[str, float] = {}
        both: dict[str, Callable[[], object]] = {
            "score": partial(scored_by_us, as_tables(rows)),
            "jiwer": partial(scored_by_jiwer, rows),
        }
        for name, scored in both.items():
            started_s = process_time()
            scored()
            found[f"{name}_per_s"] = len(rows) / (process_time() - started_s)
        rounds.append(found)
    return rounds


def write_evidence(store: Store) -> list[FileRef]:
    """Shards as the stage commits them: ids and texts of their own."""
    source = scored_by_us(as_tables(list(windows(4_000, "made")))).combine_chunks()
    [source] = source.to_batches()
    files = []
    for shard in range(_NUM_SHARDS):
        batches = []
        for start in range(0, _ROWS_PER_SHARD, source.num_rows):
            ids = [f"reader-{shard:03d}-{start + row:07d}" for row in range(source.num_rows)]
            made = source.set_column(0, EVIDENCE.field(0), pa.array(ids))
            lists = pa.array([[name] for name in ids], pa.list_(pa.string()))
            made = made.set_column(1, EVIDENCE.field(1), lists)
            for name in ("reference", "hypothesis"):  # no two texts are the same
                place = EVIDENCE.get_field_index(name)
                texts = pc.binary_join_element_wise(made.column(name), pa.array(ids), " ")
                made = made.set_column(place, EVIDENCE.field(name), texts)
            batches.append(made)
        commit = Commit(
            store=store,
            table=SCORE.table,
            place=Place(stage="score", fingerprint="bench", key=ShardKey("bench", "train", shard)),
            sources=["0" * 64],
            ids_in=None,
            max_quarantined_percent=0,
        )
        files.append(commit(iter(batches)).output)
    return files


def sweep_seconds() -> list[float]:
    """Wall seconds of a sweep over all the paper's thresholds, from files to amounts."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        known = FilterContext(licence=LIBRISPEECH.licence)
        shards = [(file, known) for file in write_evidence(store)]
        taken_s = []
        for _ in range(3):
            started_s = perf_counter()
            heard, _ = swept_files(store, shards, Filter(), list(PAPER_FILTERED_PERCENT))
            taken_s.append(perf_counter() - started_s)
            assert heard.windows == _NUM_SHARDS * _ROWS_PER_SHARD
    return taken_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    rounds = score_rounds()
    taken_s = sweep_seconds()
    found: dict[str, Any] = {
        "ratios": {"score_vs_jiwer": median(r["score_per_s"] / r["jiwer_per_s"] for r in rounds)},
        "figures": {
            "sweep_10m_rows_s": median(taken_s),
            "scored_utterances_per_core_s": median(r["score_per_s"] for r in rounds),
            "jiwer_utterances_per_core_s": median(r["jiwer_per_s"] for r in rounds),
        },
        "rows": [*rounds, *({"sweep_s": seconds} for seconds in taken_s)],
    }
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        for name, value in {**found["ratios"], **found["figures"]}.items():
            sys.stdout.write(f"{name}: {value:.3g}\n")


if __name__ == "__main__":
    main()
