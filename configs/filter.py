"""The settings of the filter: which labels are good enough to train on."""

from typing import Annotated, Literal

from pydantic import Field

from configs.marks import Marks
from configs.settings import Count, Fraction, Percent, Positive, Settings


class WithoutReference(Settings):
    """Rules for windows whose reference has no words, in place of a word error rate.

    They apply only with `filter.drop_empty_reference: false`. A rule set to null is off.
    """

    min_avg_logprob: Annotated[float, Field(le=0)] | None = -0.5
    """Lowest average log-probability per token, in nats.

    Whisper's own limit, -1, detects labels that failed; -0.5 asks for labels worth training on.
    """
    max_no_speech_prob: Fraction | None = 0.6
    """Highest probability of no speech; the default is Whisper's."""
    max_compression_ratio: Positive | None = 2.4
    """Highest ratio of text length to its zlib-compressed length; the default is Whisper's."""
    max_repeats: Count | None = 4
    """How often a phrase of up to 8 words may occur in a row, the first time included."""
    min_chars_per_s: Annotated[float, Field(ge=0)] | None = 1.0
    """Fewest characters of the normalised label per second of audio, spaces not counted."""
    max_chars_per_s: Positive | None = 30.0
    """Most characters of the normalised label per second of audio, spaces not counted."""


class Hallucination(Settings):
    """Rules against invented and missing text, applied whatever the reference says.

    By default only labels that end early are dropped.
    """

    max_repeats: Count | None = None
    """How often a phrase of up to 8 words may occur in a row, the first time included."""
    max_compression_ratio: Positive | None = None
    """Highest ratio of text length to its zlib-compressed length."""
    max_chars_per_s: Positive | None = None
    """Most characters of the normalised label per second of audio, spaces not counted."""
    flags: tuple[
        Literal["compression_ratio", "avg_logprob", "no_end", "early_end", "no_speech"], ...
    ] = ("early_end",)
    """Checks of the decoder that a label must not fail; see `label`.

    A label that ends early would teach the student to stop before its audio does.
    """


class Contamination(Settings):
    """Drops training utterances that also occur in an evaluation split of any corpus of the run."""

    ngram_words: Count | None = 10
    """Number of equal consecutive words, after text normalisation, that make a match.

    Shorter texts never match. null: do not compare texts.
    """
    audio: bool = True
    """Also match utterances with exactly equal samples. Needs one read of the training audio."""


class Takedown(Settings):
    """Utterances and speakers that must not be used for training, as listed by `explain`."""

    ids: tuple[str, ...] = ()
    """Utterance ids."""
    speakers: tuple[str, ...] = ()
    """Speaker ids."""


class Filter(Settings):
    """Which windows are kept. A value at its limit is kept; a rule set to null is off.

    `corpora.X.filter` overrides single keys for one corpus. Changing the filter recomputes the
    filter alone, never labels or scores.
    """

    unit: Literal["window", "utterance"] = "window"
    """`window`: keep or drop whole windows. `utterance`: cut each window down to its good ones."""
    max_wer_percent: Percent = 10.0
    """Highest word error rate between label and reference, in percent, of a window or utterance.

    For languages without spaces it is a character error rate.
    """
    max_utterance_wer_percent: Percent | None = None
    """Highest word error rate of each utterance inside a window, in percent."""
    drop_empty_reference: bool = True
    """Drop what has no word in its reference; if false, `without_reference` judges it instead."""
    drop_empty_hypothesis: bool = True
    """Drop what has an empty label or is classified as silence by the teacher."""
    drop_upper_case: bool = False
    """Drop labels written in capitals only."""
    max_duration_s: Positive | None = None
    """Longest window (or utterance, by `unit`), in seconds."""
    max_tokens: Count | None = 448
    """Longest label in tokens; the default is the limit of Whisper's decoder."""
    languages: tuple[str, ...] | None = None
    """Allowed languages of labels, as codes such as `en`; null allows all."""
    max_foreign_percent: Percent | None = None
    """Highest share of letters in a script the language is not written in, in percent."""
    rights: tuple[Literal["commercial_use", "derivatives", "redistribution"], ...] = ()
    """Rights that the licence of a corpus must grant; otherwise all of the corpus is dropped."""
    hallucination: Hallucination = Hallucination()
    contamination: Contamination | None = None
    """null: evaluation speech is not searched for in the training data."""
    takedown: Takedown = Takedown()
    marks: Marks = Marks()
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the windows that pass all other rules to keep, chosen at random by their ids.

    The windows of a smaller share are among those of a larger one.
    """
    fraction_seed: int = 0
    """Decides which windows `fraction` keeps."""
    without_reference: WithoutReference = WithoutReference()
