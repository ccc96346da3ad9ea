"""What an evaluation finds, as flat rows that a report lists; rates are in percent."""

from collections.abc import Mapping
from typing import Final, Literal

from storage.record import Record

Interval = tuple[float, float]
"""The lower and upper end of a 95 % interval."""

CLEAN: Final = "clean"
"""The condition of single utterances as they are; those with noise are a kind of noise with its
ratio, such as `white_10db` or `babble_-5db`."""

CHUNKED: Final = "chunked"
SEQUENTIAL: Final = "sequential"
"""The conditions of long form, by algorithm."""

Domain = Literal["in", "out", "all"]
"""Sets of corpora that the student was trained on, of other corpora, or of both."""

TimedPart = Literal["end_to_end", "decoder", "chunked", "sequential"]
"""What is timed: single utterances from waveform to text, their decoder alone, or long recordings
by either algorithm."""


class ModelFacts(Record):
    """A measured model; `num_mb` is the size of its weights in its precision, in megabytes."""

    name: str
    engine: Literal["whisper", "ctc"]
    identity: str
    num_parameters: int
    encoder_layers: int | None = None
    decoder_layers: int | None = None
    shares_encoder: bool = False  # with the teacher
    num_mb: float


class SetResult(Record):
    """One model on one set, `corpus/split`, under one condition; a row is about all its words.

    An utterance is a whole recording in long form. Each utterance of an unknown speaker counts as a
    speaker. Rates are None without reference words, and `wer_interval` with a single speaker.
    `num_repeated_5grams` is the paper's 5-Dup (arXiv 2311.00430, Table 8).
    """

    model: str
    condition: str
    set: str
    num_utterances: int
    num_speakers: int
    hours: float
    num_reference_words: int
    substitutions: int
    deletions: int
    insertions: int
    num_reference_chars: int
    char_errors: int
    num_repeated_5grams: int
    wer_percent: float | None
    cer_percent: float | None
    substitution_percent: float | None
    deletion_percent: float | None
    insertion_percent: float | None
    wer_interval: Interval | None


class Average(Record):
    """The macro-average of one model over the sets of a domain: each set has the same weight."""

    model: str
    condition: str
    domain: Domain
    num_sets: int
    wer_percent: float | None
    wer_interval: Interval | None
    cer_percent: float | None
    substitution_percent: float | None
    deletion_percent: float | None
    insertion_percent: float | None
    num_repeated_5grams: float  # the mean over sets


class Comparison(Record):
    """The difference in WER of a model to another on the same utterances, in points.

    The macro-average over the sets of a domain; positive where `model` has more errors.
    `p_value` is that of a paired, two-sided test with speakers as the units.
    """

    model: str
    baseline: str
    condition: str
    domain: Domain = "all"
    num_sets: int
    num_utterances: int
    difference: float
    interval: Interval | None
    p_value: float | None


class Robustness(Record):
    """WER on sets of corpora in training, on others, and by how much it differs from the teacher's.

    Changes are relative to the teacher, negative where the model has fewer errors. A model whose
    change is no worse out of domain than in domain is effectively as robust (Taori and others,
    2020; Table 6 of the paper).
    """

    model: str
    in_domain_percent: float | None
    out_of_domain_percent: float | None
    in_domain_change_percent: float | None
    out_of_domain_change_percent: float | None


class SpeedResult(Record):
    """Seconds for the same speech, by rounds in which the models alternate.

    `relative_speed` is that to the teacher in the same rounds: the median of the ratios, and their
    lowest and highest. `peak_mb` is that of a GPU's memory.
    """

    model: str
    part: TimedPart
    batch_size: int
    num_utterances: int
    audio_s: float
    seconds: float  # the median
    fastest_s: float
    slowest_s: float
    relative_speed: float
    relative_speed_range: Interval
    peak_mb: float | None = None


class SpeculativeResult(Record):
    """The teacher with the student as its draft, beside the teacher alone.

    `num_identical` of `num_utterances` had the same tokens. `tokens_per_round` counts the accepted
    drafts and the teacher's own token. With `fallback`, failed labels were sampled again.
    `relative_speed` as in `SpeedResult`.
    """

    batch_size: int
    fallback: bool
    num_utterances: int
    num_identical: int
    acceptance_percent: float
    tokens_per_round: float
    drafted_per_round: float
    relative_speed: float
    relative_speed_range: Interval


class NonSpeech(Record):
    """Words of one model on windows without speech; `kind` is `silence` or a kind of noise."""

    model: str
    kind: str
    num_windows: int
    num_windows_with_words: int
    num_words: int
    hours: float


class Claim(Record):
    """A claim of the paper, tried with the models of a run.

    `paper` and `ours` are texts with units, `values` and `interval` the figures behind `ours`.
    `reason` says why a claim is `not_measured`, or how the verdict was reached.
    """

    name: str
    claim: str
    source: str  # such as `Table 5`
    paper: str
    ours: str
    values: Mapping[str, float] = {}
    interval: Interval | None = None
    verdict: Literal["holds", "fails", "not_measured"]
    reason: str
