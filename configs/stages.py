"""The settings of each stage. All of them affect results and are part of fingerprints."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from configs.bundled import installed_path
from configs.settings import Count, Fraction, Name, Positive, Settings

Layers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
"""Indices of layers, rising."""


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


class Distil(Settings):
    """The student and its training. Defaults are those of Distil-Whisper (arXiv 2311.00430).

    Section 4.1 and Table 15 of the paper. The loss is
    `kl_weight` x KL divergence + `pseudo_label_weight` x cross-entropy.
    """

    decoder_layers: Count | Layers = 2
    """Decoder layers of the student: how many, or which of the teacher's, such as `[0, 31]`."""
    encoder_layers: Count | Layers | None = None
    """Encoder layers, in the same way; null: all. Fewer need `freeze_encoder: false`."""
    layer_choice: Literal["spaced", "auto"] = "spaced"
    """Which decoder layers a number means. `spaced`: maximally spaced ones, as published.

    `auto`: those whose output is closest to the teacher's before training, by their KL divergence
    on 32 windows. Of more than 500 subsets, layers are left out one by one instead.
    """
    initial_student: Teacher | None = None
    """A student to go on from, such as that of another run; null: copy the teacher's layers."""
    freeze_encoder: bool = True
    """Train the decoder alone; the encoder is the teacher's."""
    freeze_embeddings: bool = False
    """Keep the token embeddings, which are also the output projection."""
    freeze_positions: bool = False
    """Keep the position embeddings of the decoder."""
    kl_weight: Annotated[float, Field(ge=0)] = 0.8
    """Weight of the KL divergence between the teacher's and the student's distributions."""
    pseudo_label_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the cross-entropy on the teacher's labels."""
    temperature: Positive = 2.0
    """Softmax temperature of both models in the KL divergence."""
    num_steps: Count = 80_000
    """Number of updates."""
    batch_size: Count = 256
    """Windows per update."""
    peak_learning_rate: Positive = 1e-4
    """Learning rate of AdamW after warm-up; it falls linearly to 0 at the end."""
    num_warmup_steps: Annotated[int, Field(ge=0)] = 500
    """Updates over which the learning rate rises linearly."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay of AdamW; biases and layer norms are exempt."""
    max_gradient_norm: Positive = 1.0
    """Norm to which gradients are clipped."""
    timestamp_probability: Fraction = 0.5
    """How often a label that has timestamps keeps them."""
    previous_text_probability: Fraction = 0.0
    """How often the previous label of the speaker is given as a prompt, which is not trained on."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of activations; the student's weights are float32."""
    evaluate_every_steps: Count = 5_000
    """Updates between validations and checkpoints; the weights with the best score are kept."""
    num_validation_windows: Count | None = 1_000
    """Windows to validate on, over all validation splits together; null: all of them.

    Each split is a set of its own with an equal share; of one that is larger, utterances of as many
    speakers as possible are chosen at random. A long utterance counts as several windows.
    """
    seed: int = 0
    """Decides the order of the examples and the random choices above."""

    @field_validator("decoder_layers", "encoder_layers")
    @classmethod
    def _layers_rise(cls, layers: int | tuple[int, ...] | None) -> int | tuple[int, ...] | None:
        if isinstance(layers, tuple) and any(low >= high for low, high in pairwise(layers)):
            raise ValueError(f"layers are {list(layers)}, expected rising indices such as [0, 31]")
        return layers

    @model_validator(mode="after")
    def _student_is_defined_once(self) -> Self:
        given = [
            name
            for name in ("decoder_layers", "encoder_layers", "layer_choice")
            if name in self.model_fields_set
        ]
        if self.initial_student is not None and given:
            raise ValueError(
                f"initial_student is given, which has its own layers; leave out {', '.join(given)}"
            )
        if self.layer_choice == "auto" and isinstance(self.decoder_layers, tuple):
            raise ValueError(
                f"layer_choice is auto and decoder_layers names {list(self.decoder_layers)};"
                " give the number of layers instead"
            )
        if self.encoder_layers is not None and self.freeze_encoder:
            raise ValueError(
                "a student with encoder_layers of its own has to learn to encode;"
                " set freeze_encoder: false"
            )
        return self


class Evaluate(Settings):
    """The held-out speech on which teacher and student are compared."""

    split_role: Literal["validation", "test"] = "test"
    """Which splits to evaluate on."""
    limit_hours: Positive | None = None
    """Approximate hours of each corpus to evaluate on, in whole shards; null: all."""
    num_timing_rounds: Count = 3
    """How often the speed of both models is measured; the median is reported."""
