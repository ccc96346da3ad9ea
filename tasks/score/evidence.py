"""The evidence on windows and their utterances: both sides normalised, and all that differs.

Knows texts and signals; knows no threshold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.score.schema import COMPARED, EVIDENCE, UTTERANCE_EVIDENCE
from tasks.score.signals import foreign_percent, most_repeats
from tasks.score.spans import Span, spans, text_places
from tasks.score.vocabulary import Vocabulary
from tasks.text.comparison import Comparison, character_error_percents, normaliser, word_edits
from tasks.whisper.safety import compression_ratio

LoadVocabulary = Callable[[], Vocabulary]
"""Gives the teacher's vocabulary; called only for the tokens of several utterances together."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What is said in an utterance, by whom, and why its corpus does not tell; then it is empty."""

    text: str
    speaker_id: str | None
    no_reference: str | None = None


@dataclass(slots=True)
class _Pairs:
    """Texts to hold beside each other, and what is known of where they come from."""

    references: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    durations_s: list[float] = field(default_factory=list)
    compression_ratios: list[float] = field(default_factory=list)
    num_tokens: list[int] = field(default_factory=list)

    def add(
        self, reference: str, label: str, duration_s: float, ratio: float, num_tokens: int
    ) -> int:
        """The place of a new pair."""
        self.references.append(reference)
        self.labels.append(label)
        self.durations_s.append(duration_s)
        self.compression_ratios.append(ratio)
        self.num_tokens.append(num_tokens)
        return len(self.references) - 1


@dataclass(slots=True)
class _Shares:
    """What each utterance has of its window's label, and the place of its pair."""

    spans: list[Span] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


def evidence_batch(
    labels: pa.RecordBatch,
    references: Sequence[Sequence[Reference]],
    how: Comparison,
    load_vocabulary: LoadVocabulary,
) -> pa.RecordBatch:
    """Evidence (EVIDENCE) on the windows of `labels` (LABELS), in their order.

    `references` are, by window, those of its utterances, cleaned. A reference that normalises to
    nothing has neither a word nor a character error rate. The reference of a window is that of its
    texts together, so that numbers may be read over two utterances; that of an utterance is of its
    own.
    """
    windows = labels.to_pylist()
    texts = [[one.text for one in many] for many in references]
    normalise = normaliser(how.normaliser)
    pairs, shares = _Pairs(), _Shares()
    for window, said in zip(windows, texts, strict=True):
        pairs.add(
            " ".join(filter(None, said)),
            window["pseudo_text"],
            window["duration_s"],
            window["compression_ratio"],
            len(window["pseudo_tokens"]),
        )
    prompts = [
        _share_out(place, window, said, (pairs, shares), how, load_vocabulary)
        for place, (window, said) in enumerate(zip(windows, texts, strict=True))
    ]
    compared = _compared(pairs, how.language, normalise)
    of_windows = compared.slice(0, labels.num_rows)
    columns = {
        **{name: labels.column(name) for name in EVIDENCE.names if name in labels.schema.names},
        **{name: of_windows.column(name) for name in COMPARED},
        "num_prompt_tokens": pa.array([one for one, _ in prompts], pa.int32()),
        "zero_time_id": pa.array([one for _, one in prompts], pa.int32()),
        "utterances": pa.ListArray.from_arrays(
            pa.array(accumulate(map(len, texts), initial=0), pa.int32()),
            _utterances(labels, references, shares, compared.take(pa.array(shares.places))),
            type=EVIDENCE.field("utterances").type,
        ),
    }
    return pa.RecordBatch.from_arrays(
        [_array(columns[one.name], one.type) for one in EVIDENCE], schema=EVIDENCE
    )


def _share_out(
    place: int,
    window: dict[str, Any],
    references: Sequence[str],
    into: tuple[_Pairs, _Shares],
    how: Comparison,
    load_vocabulary: LoadVocabulary,
) -> tuple[int | None, int | None]:
    """Add the utterances of a window; returns its prompt's length and the timestamp 0.00.

    One that is all of a window has the window's own pair, and its label is never cut.
    """
    pairs, shares = into
    text, tokens, starts_s = window["pseudo_text"], window["pseudo_tokens"], window["offsets_s"]
    shares.starts_s += starts_s
    if len(references) == 1:
        shares.spans.append(_whole(text, tokens))
        shares.places.append(place)
        return None, None
    vocabulary = load_vocabulary() if tokens else Vocabulary((), None)
    found = spans(
        references,
        text,
        tokens,
        normaliser(how.normaliser),
        vocabulary.text,
        has_spaces=how.has_spaces,
    )
    ends_s = [*starts_s[1:], window["duration_s"]]
    for reference, span, start_s, end_s in zip(references, found, starts_s, ends_s, strict=True):
        num_tokens = span.token_end - span.token_start
        ratio = compression_ratio(span.text)
        shares.places.append(pairs.add(reference, span.text, end_s - start_s, ratio, num_tokens))
    shares.spans += found
    zero = vocabulary.zero_time_id if vocabulary.is_timed(tokens) else None
    return vocabulary.num_prompt_tokens(tokens), zero


def _utterances(
    labels: pa.RecordBatch,
    references: Sequence[Sequence[Reference]],
    shares: _Shares,
    compared: pa.Table,
) -> pa.StructArray:
    """The utterances of all windows, one after the other (UTTERANCE_EVIDENCE)."""
    found = shares.spans
    said = [one for many in references for one in many]
    table = pa.table(
        {
            "id": labels.column("utterance_ids").flatten(),
            "speaker_id": pa.array([one.speaker_id for one in said], pa.string()),
            "start_s": shares.starts_s,
            "duration_s": compared.column("duration_s"),
            "pseudo_text": [one.text for one in found],
            "token_start": [one.token_start for one in found],
            "token_end": [one.token_end for one in found],
            "is_start_ambiguous": [one.is_start_ambiguous for one in found],
            "is_end_ambiguous": [one.is_end_ambiguous for one in found],
            "no_reference": pa.array([one.no_reference for one in said], pa.string()),
            **{name: compared.column(name) for name in COMPARED},
        }
    )
    kinds = list(UTTERANCE_EVIDENCE)
    arrays = [_array(table.column(one.name), one.type) for one in kinds]
    return pa.StructArray.from_arrays(arrays, fields=kinds)


def _whole(text: str, tokens: Sequence[int]) -> Span:
    places = text_places(tokens)
    start, end = (places[0], places[-1] + 1) if places else (0, 0)
    return Span(text, start, end, is_start_ambiguous=False, is_end_ambiguous=False)


def _compared(pairs: _Pairs, language: str, normalise: Callable[[str], str]) -> pa.Table:
    """The columns COMPARED of all pairs, and `duration_s`."""
    references = [normalise(text) for text in pairs.references]
    hypotheses = [normalise(text) for text in pairs.labels]
    durations_s = np.array(pairs.durations_s, np.float64)
    hits, substitutions, deletions, insertions = word_edits(references, hypotheses).T
    num_words = hits + substitutions + deletions
    num_heard = hits + substitutions + insertions
    errors = (substitutions + deletions + insertions).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        wer_percents = 100 * errors / num_words
    num_chars = [len(text) - text.count(" ") for text in hypotheses]
    cer_percents = character_error_percents(references, hypotheses)
    return pa.table(
        {
            "duration_s": durations_s,
            "reference": references,
            "hypothesis": hypotheses,
            "num_reference_words": num_words,
            "hits": hits,
            "substitutions": substitutions,
            "deletions": deletions,
            "insertions": insertions,
            "wer_percent": pa.array(wer_percents, mask=num_words == 0),
            "cer_percent": pa.array(cer_percents, mask=np.isnan(cer_percents)),
            "most_repeats": [most_repeats(text.split()) for text in hypotheses],
            "compression_ratio": pairs.compression_ratios,
            "chars_per_s": np.array(num_chars) / durations_s,
            "words_per_s": num_heard / durations_s,
            "is_upper_case": [text.isupper() for text in pairs.labels],
            "foreign_percent": [
                max(foreign_percent(text, language) for text in pair)
                for pair in zip(references, hypotheses, strict=True)
            ],
            "num_tokens": pairs.num_tokens,
        }
    )


def _array(column: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return whole if whole.type == kind else pc.cast(whole, kind)
