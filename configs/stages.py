"""The settings of each stage. All of them affect results and are part of fingerprints."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from configs.bundled import installed_path
from configs.settings import Count, Fraction, Name, Positive, Settings


class Plan(Settings):
    """How utterances are grouped into shards, the unit of work and retry."""

    target_shard_hours: Positive = 8.0
    """Approximate hours of audio per shard."""


class VoiceActivity(Settings):
    """Voice-activity detection, used with `normalise.segment: vad`."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability above which a frame of 32 ms counts as speech."""
    max_pause_s: Positive = 1.0
    """Longest pause inside a segment, in seconds; a longer one ends the segment."""
    pad_s: Annotated[float, Field(ge=0)] = 0.2
    """Audio kept before and after the speech of a segment, in seconds."""


class Normalise(Settings):
    """Conversion of audio to FLAC: mono, 16 bit, 16 kHz."""

    max_duration_s: Positive = 30.0
    """Longest training utterance, in seconds; longer ones are dropped.

    With `segment: vad`, recordings without a transcript are cut instead. Utterances of validation
    and test splits are kept whatever their length.
    """
    min_duration_s: Annotated[float, Field(ge=0)] = 0.1
    """Shortest training utterance, in seconds; shorter ones are dropped."""
    segment: Literal["none", "vad"] = "none"
    """`vad`: cut recordings without a transcript into segments of speech.

    Applies to recordings longer than `max_duration_s` and to those with a speaker per channel.
    Recordings with a transcript are never cut.
    """
    voice_activity: VoiceActivity = VoiceActivity()

    @model_validator(mode="after")
    def _segments_are_longer_than_their_padding(self) -> Self:
        min_s = 1.0 + 2 * self.voice_activity.pad_s
        if self.segment == "vad" and self.max_duration_s < min_s:
            raise ValueError(
                f"max_duration_s is {self.max_duration_s:g}, too short for segments with"
                f" voice_activity.pad_s {self.voice_activity.pad_s:g}; set it to {min_s:g} or more"
            )
        return self


class Teacher(Settings):
    """A model in Hugging Face format: either a local folder, or a Hub id with a pinned commit."""

    path: str | None = None
    """Folder of the model."""
    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """Id on the Hub, such as `openai/whisper-large-v2`."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """Commit of the Hub model, 40 hexadecimal digits; required with `hub`."""

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
                " commit, so that labels state which weights made them"
            )
        return self

    @property
    def folder(self) -> Path | None:
        """The folder of the weights, found by `installed_path`; None for a model of the Hub."""
        return None if self.path is None else installed_path(self.path)


class Label(Settings):
    """How the teacher transcribes: greedily, without previous text as a prompt.

    Four checks find failed labels: `compression_ratio` and `avg_logprob`, with the limits of
    openai/whisper, `no_end` for a label that reaches the token limit, and `early_end` for one whose
    last timestamp leaves more than a second of speech over. A failed label is decoded again at the
    next of the `temperatures` until one passes; if none does, the last is kept.
    """

    engine: Literal["whisper", "ctranslate2", "ctc"] = "whisper"
    """The inference engine. `ctc`: Wav2Vec2-like models, which cannot sample or be distilled."""
    teacher: Teacher
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the teacher's weights and activations."""
    language: str = "en"
    """Language of the audio, as a code such as `en`."""
    task: Literal["transcribe", "translate"] = "transcribe"
    """`translate`: labels are English whatever the language of the audio."""
    timestamps: bool = False
    """Whether labels contain timestamp tokens.

    Decoding then continues after the last complete segment until all audio is covered.
    """
    pack: Literal["none", "speaker", "any"] = "speaker"
    """Which utterances share a window of 30 s, which is several times faster.

    `none`: one utterance per window. `speaker`: only those of one voice: a known speaker, or the
    unknown speakers of one recording. `any`: the same, but what is left over at the end of a voice
    shares windows with other voices, which fills those of short voices.
    """
    max_new_tokens: Count | None = None
    """Longest label in tokens; null: half of the decoder's positions, as in openai/whisper."""
    temperatures: Annotated[tuple[float, ...], Field(min_length=1)] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """Sampling temperatures to try in turn: 0.0 (greedy) first, then rising. `[0.0]`: no retry."""
    max_compression_ratio: Positive = 2.4
    """Highest ratio of text length to its zlib-compressed length; above, the text is a loop."""
    min_avg_logprob: float = -1.0
    """Lowest average log-probability per token, in nats."""
    max_no_speech_prob: Fraction = 0.6
    """Above this probability of no speech, a label that fails `min_avg_logprob` is silence."""

    @field_validator("temperatures")
    @classmethod
    def _greedy_first_then_rising(cls, temperatures: tuple[float, ...]) -> tuple[float, ...]:
        if temperatures[0] != 0 or any(low >= high for low, high in pairwise(temperatures)):
            raise ValueError(
                f"temperatures are {list(temperatures)}, expected 0.0 first and then rising values,"
                " such as [0.0, 0.2, 0.4]"
            )
        return temperatures

    @model_validator(mode="after")
    def _engine_supports_the_settings(self) -> Self:
        if self.engine == "ctc" and len(self.temperatures) > 1:
            raise ValueError(
                f"engine is ctc, which cannot sample, and temperatures are"
                f" {list(self.temperatures)}; set temperatures: [0.0]"
            )
        return self


class Score(Settings):
    """How labels are compared with references."""

    normaliser: Literal["auto", "english", "basic"] = "auto"
    """Whisper's text normaliser to apply before; `auto` chooses by the language of the labels.

    `auto` is `english` for English and `basic` for others; languages without spaces are compared
    character by character.
    """


class Publish(Settings):
    """The manifest that a run publishes."""

    name: Name
    """Name of the manifest; numbers are assigned under it."""
    allow_missing_shards: bool = False
    """Publish although some planned shards are incomplete; the manifest lists them."""
