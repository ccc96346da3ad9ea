"""Evidence on windows and their utterances: label and reference normalised and compared.

Deals with texts and signals; it has no notion of thresholds.
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
from tasks.score.spans import Span, spans, text_positions
from tasks.score.vocabulary import Vocabulary
from tasks.text.comparison import Comparison, character_error_percents, normaliser, word_edits
from tasks.whisper.quality import compression_ratio

LoadVocabulary = Callable[[], Vocabulary]
"""Loads the teacher's vocabulary; called only for tokens of windows with several utterances."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference of an utterance and its speaker.

    `no_reference` is the reason why the corpus has none; `text` is empty then.
    """

    text: str
    speaker_id: str | None
    no_reference: str | None = None


@dataclass(slots=True)
class _Pairs:
    """Pairs of reference and label to compare, with the other inputs of their signals."""

    references: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    durations_s: list[float] = field(default_factory=list)
    compression_ratios: list[float] = field(default_factory=list)
    num_tokens: list[int] = field(default_factory=list)

    def add(
        self, reference: str, label: str, duration_s: float, ratio: float, num_tokens: int
    ) -> int:
        """Add a pair and return its index."""
        self.references.append(reference)
        self.labels.append(label)
        self.durations_s.append(duration_s)
        self.compression_ratios.append(ratio)
        self.num_tokens.append(num_tokens)
        return len(self.references) - 1


@dataclass(slots=True)
class _Utterances:
    """Each utterance's part of its window's label, its start, and the index of its pair."""

    spans: list[Span] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    pair_indices: list[int] = field(default_factory=list)


def evidence_batch(
    labels: pa.RecordBatch,
    references: Sequence[Sequence[Reference]],
    comparison: Comparison,
    load_vocabulary: LoadVocabulary,
) -> pa.RecordBatch:
    """Evidence (EVIDENCE) on the windows of `labels` (LABELS), in their order.

    `references` holds the cleaned references of each window's utterances. A reference that
    normalises to nothing has neither a word nor a character error rate. A window's reference is
    normalised as one text, so that numbers may span utterances; an utterance's by itself.
    """
    windows = labels.to_pylist()
    texts = [[reference.text for reference in members] for members in references]
    normalise = normaliser(comparison.normaliser)
    pairs, utterances = _Pairs(), _Utterances()
    for window, window_texts in zip(windows, texts, strict=True):
        pairs.add(
            " ".join(filter(None, window_texts)),
            window["pseudo_text"],
            window["duration_s"],
            window["compression_ratio"],
            len(window["pseudo_tokens"]),
        )
    prompts = [
        _split(index, window, window_texts, (pairs, utterances), comparison, load_vocabulary)
        for index, (window, window_texts) in enumerate(zip(windows, texts, strict=True))
    ]
    compared = _compared(pairs, comparison.language, normalise)
    compared_windows = compared.slice(0, labels.num_rows)
    compared_utterances = compared.take(pa.array(utterances.pair_indices))
    columns = {
        **{name: labels.column(name) for name in EVIDENCE.names if name in labels.schema.names},
        **{name: compared_windows.column(name) for name in COMPARED},
        "num_prompt_tokens": pa.array([num_tokens for num_tokens, _ in prompts], pa.int32()),
        "zero_time_id": pa.array([zero for _, zero in prompts], pa.int32()),
        "utterances": pa.ListArray.from_arrays(
            pa.array(accumulate(map(len, texts), initial=0), pa.int32()),
            _utterance_evidence(labels, references, utterances, compared_utterances),
            type=EVIDENCE.field("utterances").type,
        ),
    }
    return pa.RecordBatch.from_arrays(
        [_array(columns[one.name], one.type) for one in EVIDENCE], schema=EVIDENCE
    )


def _split(
    index: int,
    window: dict[str, Any],
    references: Sequence[str],
    into: tuple[_Pairs, _Utterances],
    comparison: Comparison,
    load_vocabulary: LoadVocabulary,
) -> tuple[int | None, int | None]:
    """Split a window into its utterances; returns `num_prompt_tokens` and `zero_time_id`.

    A single utterance shares the window's pair, and its label is never cut: both are None.
    """
    pairs, utterances = into
    text, tokens, starts_s = window["pseudo_text"], window["pseudo_tokens"], window["offsets_s"]
    utterances.starts_s += starts_s
    if len(references) == 1:
        utterances.spans.append(_whole(text, tokens))
        utterances.pair_indices.append(index)
        return None, None
    vocabulary = load_vocabulary() if tokens else Vocabulary((), None)
    window_spans = spans(
        references,
        text,
        tokens,
        normaliser(comparison.normaliser),
        vocabulary.text,
        has_spaces=comparison.has_spaces,
    )
    ends_s = [*starts_s[1:], window["duration_s"]]
    for reference, span, start_s, end_s in zip(
        references, window_spans, starts_s, ends_s, strict=True
    ):
        num_tokens = span.token_end - span.token_start
        ratio = compression_ratio(span.text)
        pair_index = pairs.add(reference, span.text, end_s - start_s, ratio, num_tokens)
        utterances.pair_indices.append(pair_index)
    utterances.spans += window_spans
    zero = vocabulary.zero_time_id if vocabulary.is_timed(tokens) else None
    return vocabulary.num_prompt_tokens(tokens), zero


def _utterance_evidence(
    labels: pa.RecordBatch,
    references: Sequence[Sequence[Reference]],
    utterances: _Utterances,
    compared: pa.Table,
) -> pa.StructArray:
    """The utterances of all windows, in order (UTTERANCE_EVIDENCE)."""
    members = [reference for window in references for reference in window]
    table = pa.table(
        {
            "id": labels.column("utterance_ids").flatten(),
            "speaker_id": pa.array([one.speaker_id for one in members], pa.string()),
            "start_s": utterances.starts_s,
            "duration_s": compared.column("duration_s"),
            "pseudo_text": [span.text for span in utterances.spans],
            "token_start": [span.token_start for span in utterances.spans],
            "token_end": [span.token_end for span in utterances.spans],
            "is_start_ambiguous": [span.is_start_ambiguous for span in utterances.spans],
            "is_end_ambiguous": [span.is_end_ambiguous for span in utterances.spans],
            "no_reference": pa.array([one.no_reference for one in members], pa.string()),
            **{name: compared.column(name) for name in COMPARED},
        }
    )
    fields = list(UTTERANCE_EVIDENCE)
    arrays = [_array(table.column(one.name), one.type) for one in fields]
    return pa.StructArray.from_arrays(arrays, fields=fields)


def _whole(text: str, tokens: Sequence[int]) -> Span:
    positions = text_positions(tokens)
    start, end = (positions[0], positions[-1] + 1) if positions else (0, 0)
    return Span(text, start, end, is_start_ambiguous=False, is_end_ambiguous=False)


def _compared(pairs: _Pairs, language: str, normalise: Callable[[str], str]) -> pa.Table:
    """The columns COMPARED, and `duration_s`, for all pairs."""
    references = [normalise(text) for text in pairs.references]
    hypotheses = [normalise(text) for text in pairs.labels]
    durations_s = np.array(pairs.durations_s, np.float64)
    hits, substitutions, deletions, insertions = word_edits(references, hypotheses).T
    num_words = hits + substitutions + deletions
    num_hypothesis_words = hits + substitutions + insertions
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
            "words_per_s": num_hypothesis_words / durations_s,
            "is_upper_case": [text.isupper() for text in pairs.labels],
            "foreign_percent": [
                max(foreign_percent(text, language) for text in pair)
                for pair in zip(references, hypotheses, strict=True)
            ],
            "num_tokens": pairs.num_tokens,
        }
    )


def _array(column: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    combined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return combined if combined.type == kind else pc.cast(combined, kind)
