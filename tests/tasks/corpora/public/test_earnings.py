"""Earnings-21 and Earnings-22 in a clone of their repository, with one call per defect."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lhotse.recipes import earnings21, earnings22

from storage.outcome import quarantined
from tasks.audio import decode
from tasks.corpora.base import Corpus, Segment, Unplanned
from tasks.corpora.public.earnings import EARNINGS21, EARNINGS22, clean
from tests.builders import encoded, sine

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], object]]

HEADERS = {
    "earnings21": "token|speaker|ts|endTs|punctuation|case|tags|wer_tags",
    "earnings22": "token|speaker|ts|endTs|punctuation|prepunctuation|case|tags",
}
WORDS = [
    ("Good", ""),
    ("morning", ","),
    ("NexGEn", "."),
    ("<laugh>", "."),
    ("Mm-hmm", ""),
    ("<affirmative>", "."),
    ("burden ", ""),
    ("", ""),
    ("złoty", "…"),
    ("20%", "?"),
]
MP3 = encoded(sine(1.5, rate_hz=24_000), "MP3", rate_hz=24_000)

both = pytest.mark.parametrize(
    ("corpus", "recipe"), [(EARNINGS21, earnings21), (EARNINGS22, earnings22)], ids=["21", "22"]
)


def transcript(corpus: Corpus, words: list[tuple[str, str]] = WORDS) -> bytes:
    header = HEADERS[corpus.name]
    rows = []
    for token, punctuation in words:
        fields = dict.fromkeys(header.split("|"), "")
        fields |= {"token": token, "punctuation": punctuation, "speaker": "1", "tags": "[]"}
        rows.append("|".join(fields.values()))
    return "\r\n".join([header, *rows, ""]).encode()


def clone(corpus: Corpus, **transcripts: bytes) -> dict[str, bytes]:
    """A clone of the repository, in which other folders have transcripts too."""
    nlp = f"speech-datasets/{corpus.name}/transcripts/nlp_references"
    return {
        "speech-datasets/README.md": b"datasets",
        f"speech-datasets/{corpus.name}/output/google/4320211.nlp": b"token\nmachine\n",
        f"speech-datasets/{corpus.name}/media/4320211.mp3": MP3,
        **{f"{nlp}/{name}.nlp": data for name, data in transcripts.items()},
    }


@both
def test_a_call_is_one_segment_with_all_its_words(
    read_corpus: ReadCorpus, tmp_path: Path, corpus: Corpus, recipe: object
) -> None:
    data = transcript(corpus)
    (segment,), raw = read_corpus(corpus, clone(corpus, **{"4320211": data}))
    assert isinstance(segment, Segment)
    assert (segment.id, segment.split, segment.recording_id) == ("4320211", "test", "4320211")
    assert (segment.speaker_id, segment.start_s, segment.end_s) == (None, 0.0, None)
    text = "Good morning, NexGEn. <laugh>. Mm-hmm <affirmative>. burden złoty… 20%?"
    assert segment.raw_text == text
    assert clean(text) == "Good morning, NexGEn. Mm-hmm burden złoty… 20%?"
    audio = decode(raw.audio(segment.audio))
    assert audio.rate_hz == 24_000
    assert np.isclose(audio.duration_s, 1.5, atol=0.1)
    # lhotse leaves the punctuation out, and the rest of its recipe asks for all the calls
    (tmp_path / "call.nlp").write_bytes(data)
    theirs = " ".join(recipe.parse_nlp_file(tmp_path / "call.nlp")).split()
    assert [word.rstrip(".,…?") for word in text.split()] == theirs


@pytest.mark.parametrize(
    ("lines", "detail"),
    [
        (b"Good|0||||UC|[]|[]\nmorning|0\nall|0||||LC|[]|[]", "line 3: morning|0"),
        (b"Good|0||||UC|[]|[]|more", "line 2: Good|0||||UC|[]|[]|more"),
        (b"caf\xe9|0||||UC|[]|[]", "line 2: caf\ufffd|0||||UC|[]|[]"),
    ],
)
def test_a_malformed_line_quarantines_its_call(
    read_corpus: ReadCorpus, lines: bytes, detail: str
) -> None:
    data = HEADERS["earnings21"].encode() + b"\n" + lines
    found, _ = read_corpus(EARNINGS21, clone(EARNINGS21, **{"4320211": data}))
    assert found == [Unplanned(split="test", row=quarantined("4320211", "malformed_line", detail))]


def test_a_table_with_other_columns_is_refused(read_corpus: ReadCorpus) -> None:
    found, _ = read_corpus(EARNINGS22, clone(EARNINGS22, **{"4320211": b"word|speaker\nGood|0\n"}))
    assert found == [
        Unplanned(split="test", row=quarantined("4320211", "malformed_line", "line 2: Good|0"))
    ]


def test_a_call_without_a_recording_is_quarantined(read_corpus: ReadCorpus) -> None:
    data = transcript(EARNINGS22)
    found, _ = read_corpus(EARNINGS22, clone(EARNINGS22, **{"4320211": data, "4320212": data}))
    assert found[1:] == [
        Unplanned(split="test", row=quarantined("4320212", "no_audio", "4320212.mp3"))
    ]


@both
def test_calls_are_for_long_form_evaluation(corpus: Corpus, recipe: object) -> None:
    assert corpus.splits == {"test": "test"}
