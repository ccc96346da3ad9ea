import subprocess
import sys

import pyarrow as pa
import pytest

from storage.errors import ShardError
from storage.outcome import Rejected
from storage.schema import row_ids
from tasks.corpora.base import NoReference
from tasks.label.schema import LABELS
from tasks.normalise.schema import NORMALISED
from tasks.score.schema import EVIDENCE
from tasks.score.shard import REFERENCE_COLUMNS, score_shard
from tasks.score.vocabulary import Vocabulary
from tasks.text.comparison import Comparison

WORDS = sorted(
    {f"\u0120{word}" for word in ["boat", "horse", "one", "two", "three", "x", "y", "z", "hello"]}
)
VOCABULARY = Vocabulary(WORDS, zero_time_id=len(WORDS) + 8)
ENGLISH = Comparison("english", "en")


def tokens(text):
    """A token for each known word, between prompt and end token."""
    end = len(WORDS)
    known = [WORDS.index(f"\u0120{word}") for word in text.split() if f"\u0120{word}" in WORDS]
    return [end + 1, end + 2, end + 6, end + 7, *known, end]


def label(*ids, text, **changes):
    return {
        "window_id": ids[0],
        "utterance_ids": list(ids),
        "offsets_s": [0.5 * index for index in range(len(ids))],
        "duration_s": 2.5,
        "pseudo_text": text,
        "pseudo_tokens": tokens(text),
        "previous_window_id": None,
        "avg_logprob": -0.25,
        "no_speech_prob": 0.125,
        "compression_ratio": 1.5,
        "temperature": 0.0,
        "flags": ["no_end"],
        "language": "en",
        **changes,
    }


def clean(raw_text):
    return NoReference("ignored") if raw_text == "IGNORE" else raw_text.removeprefix("<s> ")


def known(texts):
    """The columns of a normalised shard that are read."""
    rows = {"id": list(texts), "speaker_id": ["ann"] * len(texts), "raw_text": list(texts.values())}
    return pa.table(rows, schema=pa.schema([NORMALISED.field(name) for name in REFERENCE_COLUMNS]))


def scored(labels, texts, comparison=ENGLISH):
    table = pa.Table.from_pylist(labels, schema=LABELS)
    outcomes = list(score_shard(table, known(texts), clean, comparison, lambda: VOCABULARY))
    batches = [one for one in outcomes if isinstance(one, pa.RecordBatch)]
    return (
        pa.Table.from_batches(batches, schema=EVIDENCE).to_pylist(),
        [one for one in outcomes if isinstance(one, Rejected)],
    )


def test_evidence_has_both_sides_normalised_and_every_signal():
    rows, _ = scored([label("a", text="Mr. Brown saw a colour")], {"a": "<s> MISTER BROWN SAW"})
    compared = {
        "duration_s": 2.5,
        "reference": "mister brown saw",
        "hypothesis": "mister brown saw a color",
        "num_reference_words": 3,
        "hits": 3,
        "substitutions": 0,
        "deletions": 0,
        "insertions": 2,
        "wer_percent": pytest.approx(200 / 3),
        "cer_percent": pytest.approx(100 * 8 / 16),
        "most_repeats": 1,
        "compression_ratio": 1.5,
        "chars_per_s": 20 / 2.5,
        "words_per_s": 2.0,
        "is_upper_case": False,
        "foreign_percent": 0.0,
        "num_tokens": 5,
    }
    assert rows == [
        {
            "window_id": "a",
            "utterance_ids": ["a"],
            "language": "en",
            **compared,
            "avg_logprob": -0.25,
            "no_speech_prob": 0.125,
            "flags": ["no_end"],
            "num_prompt_tokens": None,
            "zero_time_id": None,
            "utterances": [
                {
                    "id": "a",
                    "speaker_id": "ann",
                    "start_s": 0.0,
                    "pseudo_text": "Mr. Brown saw a colour",
                    "token_start": 0,
                    "token_end": 0,
                    "is_start_ambiguous": False,
                    "is_end_ambiguous": False,
                    "no_reference": None,
                    **compared,
                }
            ],
        }
    ]


def test_each_utterance_of_a_window_has_evidence_and_tokens_of_its_own():
    """Defect 10: a bad utterance hides in a good window."""
    labels = [label("a", "b", "c", text="boat horse boat x x y z hello")]
    rows, _ = scored(labels, {"a": "BOAT HORSE BOAT", "b": "ONE TWO", "c": "Y Z HELLO"})
    [window] = rows
    assert window["wer_percent"] == pytest.approx(100 * 2 / 7)
    assert window["num_prompt_tokens"] == 4 and window["zero_time_id"] is None
    a, b, c = window["utterances"]
    assert [one["wer_percent"] for one in (a, b, c)] == [0.0, 200.0, 0.0]
    assert [(one["token_start"], one["token_end"]) for one in (a, b, c)] == [
        (4, 7),
        (7, 9),
        (9, 12),
    ]
    assert [one["pseudo_text"] for one in (a, b, c)] == ["boat horse boat", "x x", "y z hello"]
    assert not any(one["is_start_ambiguous"] or one["is_end_ambiguous"] for one in (a, b, c))
    assert [(one["start_s"], one["duration_s"]) for one in (a, b, c)] == [
        (0.0, 0.5), (0.5, 0.5), (1.0, 1.5),
    ]  # fmt: skip
    assert [one["words_per_s"] for one in (a, b, c)] == [6.0, 4.0, 2.0]


def test_a_teacher_without_tokens_needs_no_vocabulary():
    def none():
        raise AssertionError

    labels = pa.Table.from_pylist(
        [label("a", "b", text="boat horse x", pseudo_tokens=[])], schema=LABELS
    )
    [batch] = score_shard(labels, known({"a": "BOAT HORSE", "b": "X"}), clean, ENGLISH, none)
    a, b = batch.to_pylist()[0]["utterances"]
    assert (a["hypothesis"], b["hypothesis"]) == ("boat horse", "x")
    assert not a["is_end_ambiguous"] and a["num_tokens"] == 0


def test_upper_case_is_detected_only_in_cased_scripts():
    """Defect 7: a guard against capitals dropped every text of a script without them."""
    texts = ["HELLO BOAT", "Hello", "\u4f60\u597d", "12", ""]
    labels = [label(f"u{index}", text=text) for index, text in enumerate(texts)]
    rows, _ = scored(labels, {f"u{index}": "HELLO" for index in range(len(texts))})
    assert [row["is_upper_case"] for row in rows] == [True, False, False, False, False]


def test_references_are_joined_by_id():
    """Defect 5: rows were matched by position, after a filter on one side only."""
    labels = [label("c", text="three"), label("a", "b", text="one two")]
    texts = {"b": "TWO", "unlabelled": "ELSE", "a": "ONE", "c": "THREE"}
    rows, _ = scored(labels, texts)
    assert [row["reference"] for row in rows] == ["3", "12"]
    assert [row["wer_percent"] for row in rows] == [0.0, 0.0]


def test_a_window_joins_references_in_utterance_order():
    labels = [label("b", "a", text="boat horse")]
    rows, _ = scored(labels, {"a": "HORSE", "b": "BOAT"})
    assert rows[0]["reference"] == "boat horse"


def test_a_language_does_not_change_the_normaliser():
    """Defect 6."""
    rows, _ = scored([label("a", text="It's grey", language="en")], {"a": "IT IS GRAY"})
    assert rows[0]["wer_percent"] == 0.0


def test_the_basic_normaliser_is_a_setting():
    labels = [label("a", text="It's grey")]
    rows, _ = scored(labels, {"a": "IT IS GRAY"}, Comparison("basic", "en"))
    assert rows[0]["hypothesis"] == "it s grey"


def test_an_utterance_without_reference_is_empty_in_a_window_and_dropped_alone():
    """Defect 14: a row that is marked not to be scored was counted as words."""
    labels = [label("a", "b", "c", text="x"), label("d", text="y"), label("e", "f", text="z")]
    texts = {"a": "X", "b": "IGNORE", "c": "", "d": "Y", "e": "IGNORE", "f": "IGNORE"}
    rows, rejected = scored(labels, texts)
    assert [row["window_id"] for row in rows] == [labels[0]["window_id"], "d"]
    assert [row["num_reference_words"] for row in rows] == [1, 1]
    assert [one["no_reference"] for one in rows[0]["utterances"]] == [None, "ignored: IGNORE", None]
    assert rejected == [
        Rejected("e", "dropped", "ignored", "IGNORE"),
        Rejected("f", "dropped", "ignored", "IGNORE"),
    ]


@pytest.mark.parametrize(
    ("text", "ambiguous"),
    [
        ("boat horse y hello", []),  # no words between them
        ("boat horse x x y hello", ["a", "b", "c"]),  # which may belong to any of them
    ],
)
def test_words_within_a_missing_reference_make_boundaries_ambiguous(text, ambiguous):
    texts = {"a": "BOAT HORSE", "b": "IGNORE", "c": "Y HELLO"}
    [window], _ = scored([label("a", "b", "c", text=text)], texts)
    ends = ("is_start_ambiguous", "is_end_ambiguous")
    assert [one["id"] for one in window["utterances"] if any(map(one.get, ends))] == ambiguous


def test_an_utterance_without_reference_is_an_error():
    with pytest.raises(ShardError, match="'b' of window 'a' is not among the 1 references"):
        scored([label("a", "b", text="x")], {"a": "X"})


def test_two_references_of_one_id_are_an_error():
    references = pa.concat_tables([known({"a": "X"}), known({"a": "Y"})])
    table = pa.Table.from_pylist([label("a", text="x")], schema=LABELS)
    with pytest.raises(ShardError, match="2 references have only 1 different ids"):
        list(score_shard(table, references, clean, ENGLISH, lambda: VOCABULARY))


def test_an_empty_reference_has_no_error_rate():
    rows, _ = scored([label("a", text="hello"), label("b", text="")], {"a": "UM", "b": "HELLO"})
    assert [(row["wer_percent"], row["cer_percent"]) for row in rows] == [
        (None, None),
        (100.0, 100.0),
    ]
    assert rows[0]["insertions"] == 1


def test_large_shards_are_batched_and_nothing_is_lost():
    """Defect 3."""
    names = [f"u{index}" for index in range(2_500)]
    labels = [label(name, text="boat") for name in names]
    references = known(dict.fromkeys(names, "BOAT"))
    table = pa.Table.from_pylist(labels, schema=LABELS)
    batches = list(score_shard(table, references, clean, ENGLISH, lambda: VOCABULARY))
    assert len(batches) == 3
    assert [one for batch in batches for one in row_ids(batch)] == names
    assert all(batch.schema == EVIDENCE for batch in batches)


def test_it_needs_no_torch():
    code = "import sys, tasks.score.shard, tasks.filter.shard; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
