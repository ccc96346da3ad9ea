"""What decides the result of each stage."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from configs.bundled import installed_path
from configs.settings import Count, Fraction, Name, Percent, Positive, Settings


class Plan(Settings):
    """How segments are grouped into shards, the unit of work and retry."""

    target_shard_hours: Positive = 8.0


class VoiceActivity(Settings):
    """What counts as speech: likelier than `threshold`, through pauses of up to `max_pause_s`.

    Each stretch keeps up to `pad_s` of what is before and after it.
    """

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    max_pause_s: Positive = 1.0
    pad_s: Annotated[float, Field(ge=0)] = 0.2


class Normalise(Settings):
    """What audio becomes: FLAC, mono, 16 bit, at Whisper's 16 kHz.

    With `segment: vad` recordings without a text are cut into stretches of speech where they are
    longer than `max_duration_s` or have a speaker on each channel; what has a text is never cut.
    """

    max_duration_s: Positive = 30.0
    min_duration_s: Annotated[float, Field(ge=0)] = 0.1
    segment: Literal["none", "vad"] = "none"
    voice_activity: VoiceActivity = VoiceActivity()

    @model_validator(mode="after")
    def _stretches_hold_more_than_their_padding(self) -> Self:
        least_s = 1.0 + 2 * self.voice_activity.pad_s
        if self.segment == "vad" and self.max_duration_s < least_s:
            raise ValueError(
                f"max_duration_s is {self.max_duration_s:g}, too short to cut speech into with"
                f" voice_activity.pad_s {self.voice_activity.pad_s:g}; set it to {least_s:g} at"
                " least"
            )
        return self


class Teacher(Settings):
    """A Whisper in Hugging Face format: a folder, or a hub id with the commit to take."""

    path: str | None = None
    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None

    @model_validator(mode="after")
    def _one_pinned_source(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError(
                f"give either `path`, a folder, or `hub`, an id such as openai/whisper-large-v2;"
                f" found path={self.path!r} and hub={self.hub!r}"
            )
        if self.hub is not None and self.revision is None:
            raise ValueError(
                f"the hub model {self.hub!r} needs `revision`, the 40 hexadecimal digits of a"
                " commit, so that labels say which weights made them"
            )
        return self

    @property
    def folder(self) -> Path | None:
        """The folder of the weights, found by `installed_path`; None for a model of the Hub."""
        return None if self.path is None else installed_path(self.path)


class Label(Settings):
    """How the teacher labels: without previous text as a prompt, and greedily first.

    What fails one of Whisper's checks is decoded again at each further of the `temperatures`, until
    it passes; with `[0.0]` never. The checks: no more repetition than `max_compression_ratio`, an
    average log-probability of at least `min_avg_logprob` unless the probability of no speech is
    above `max_no_speech_prob`, and an end before the limit of tokens. Defaults are those of
    openai/whisper. `engine: ctc` hears with a model of letters, which samples nothing.
    """

    engine: Literal["whisper", "ctranslate2", "ctc"] = "whisper"
    teacher: Teacher
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    language: str = "en"
    task: Literal["transcribe", "translate"] = "transcribe"
    timestamps: bool = False
    pack: Literal["none", "speaker", "any"] = "speaker"
    max_new_tokens: Count | None = None
    temperatures: Annotated[tuple[float, ...], Field(min_length=1)] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    max_compression_ratio: Positive = 2.4
    min_avg_logprob: float = -1.0
    max_no_speech_prob: Fraction = 0.6

    @field_validator("temperatures")
    @classmethod
    def _greedy_first_then_rising(cls, found: tuple[float, ...]) -> tuple[float, ...]:
        if found[0] != 0 or any(low >= high for low, high in pairwise(found)):
            raise ValueError(
                f"temperatures are {list(found)}, expected 0.0 first and then rising ones, such as"
                " [0.0, 0.2, 0.4]"
            )
        return found

    @model_validator(mode="after")
    def _only_what_the_engine_can_do(self) -> Self:
        if self.engine == "ctc" and len(self.temperatures) > 1:
            raise ValueError(
                f"engine is ctc, which samples nothing, and temperatures are"
                f" {list(self.temperatures)}; set temperatures: [0.0]"
            )
        return self


class Score(Settings):
    """What counts as the same words: `auto` goes by the language of the labels."""

    normaliser: Literal["auto", "english", "basic"] = "auto"


class WithoutReference(Settings):
    """What a window without a reference must show in place of a word error rate; None: no rule.

    The compression ratio and the probability of no speech are Whisper's own limits; its own limit
    of the average log-probability, -1, tells labels that failed, not those worth learning from.
    Repeats are of a phrase of up to 8 words that follows itself; characters are those of the
    normalised label without spaces, and the seconds are those of the audio.
    """

    min_avg_logprob: Annotated[float, Field(le=0)] | None = -0.5
    max_no_speech_prob: Fraction | None = 0.6
    max_compression_ratio: Positive | None = 2.4
    max_repeats: Count | None = 4
    min_chars_per_s: Annotated[float, Field(ge=0)] | None = 1.0
    max_chars_per_s: Positive | None = 30.0


class Hallucination(Settings):
    """What a label shows that was made up, whatever its reference says; None: no rule.

    Measured as in `WithoutReference`; `flags` names checks of Whisper's that a label may not fail.
    """

    max_repeats: Count | None = None
    max_compression_ratio: Positive | None = None
    max_chars_per_s: Positive | None = None
    flags: tuple[Literal["compression_ratio", "avg_logprob", "no_end", "no_speech"], ...] = ()


class Contamination(Settings):
    """What counts as an utterance of an evaluation split: that many words in a row, or its sound.

    `ngram_words` are of normalised text, so a text with fewer words is never found by it.
    """

    ngram_words: Count | None = 10
    audio: bool = True


class Takedown(Settings):
    """Whose speech may not be learnt from any more: utterances and speakers by their ids."""

    ids: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()


class Filter(Settings):
    """Which windows are good enough to learn from; None: no such rule.

    With `unit: utterance` a window is cut down to its good utterances, otherwise it is kept or
    dropped as a whole, and `max_utterance_wer_percent` is how bad an utterance in it may be. Those
    without a word in their reference are dropped, or with `drop_empty_reference: false` judged by
    `without_reference`. `max_tokens` is what a Whisper learns at most; `languages` are those that
    labels may be in, `max_foreign_percent` of their letters may be of another script; `rights` are
    what the licence of a corpus must allow.
    """

    unit: Literal["window", "utterance"] = "window"
    max_wer_percent: Percent = 10.0
    max_utterance_wer_percent: Percent | None = None
    drop_empty_reference: bool = True
    drop_empty_hypothesis: bool = True
    drop_upper_case: bool = False
    max_duration_s: Positive | None = None
    max_tokens: Count | None = 448
    languages: tuple[str, ...] | None = None
    max_foreign_percent: Percent | None = None
    rights: tuple[Literal["commercial_use", "derivatives", "redistribution"], ...] = ()
    hallucination: Hallucination = Hallucination()
    contamination: Contamination | None = None
    takedown: Takedown = Takedown()
    without_reference: WithoutReference = WithoutReference()


class Publish(Settings):
    """The name of the manifest, and whether it may have holes."""

    name: Name
    allow_missing_shards: bool = False


class Distil(Settings):
    """The student and its training; defaults are the paper's (section 4.1 and Table 15).

    A label keeps its timestamps, and is told what the same speaker said in the window before, with
    a probability each.
    """

    decoder_layers: Count = 2
    freeze_encoder: bool = True
    kl_weight: Annotated[float, Field(ge=0)] = 0.8
    pseudo_label_weight: Annotated[float, Field(ge=0)] = 1.0
    temperature: Positive = 2.0
    num_steps: Count = 80_000
    batch_size: Count = 256
    peak_learning_rate: Positive = 1e-4
    num_warmup_steps: Annotated[int, Field(ge=0)] = 500
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_gradient_norm: Positive = 1.0
    timestamp_probability: Fraction = 0.5
    previous_text_probability: Fraction = 0.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    evaluate_every_steps: Count = 5_000
    num_validation_windows: Count = 1_000
    seed: int = 0


class Evaluate(Settings):
    """Which held-out speech the teacher and the student are measured on."""

    split_role: Literal["validation", "test"] = "test"
    limit_hours: Positive | None = None
    num_timing_rounds: Count = 3
