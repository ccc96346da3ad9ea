"""The settings of the evaluation: held-out speech, models, and what is measured of them."""

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, field_validator, model_validator

from configs.settings import Count, Name, Positive, Settings
from configs.stages import Teacher

TEACHER: Final = "teacher"
STUDENT: Final = "student"

T = TypeVar("T", bound=Sequence[Hashable])

Algorithm = Literal["chunked", "sequential"]


def _without_repetition(items: T) -> T:
    if repeated := [one for one in items if items.count(one) > 1]:
        raise ValueError(f"{repeated[0]} is listed twice, expected different ones; remove one")
    return items


Different = AfterValidator(_without_repetition)
"""What is listed twice would be measured and counted twice."""


class EvaluatedModel(Settings):
    """A model to measure beside teacher and student: that of a folder, of the Hub, or of a run."""

    path: str | None = None
    """Folder of a model in Hugging Face format."""
    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """Id on the Hub, such as `facebook/wav2vec2-large-960h`."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """Commit of the Hub model, 40 hexadecimal digits; required with `hub`."""
    run: str | None = None
    """Configuration of another run, whose trained student is measured."""
    engine: Literal["whisper", "ctc"] = "whisper"
    """`ctc`: Wav2Vec2-like models."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.run is not None:
            given = [one for one in (self.path, self.hub, self.revision) if one is not None]
            if given or self.engine != "whisper":
                raise ValueError(
                    f"run is {self.run!r}, whose student is a Whisper; leave out path, hub,"
                    " revision and engine"
                )
            return self
        Teacher(path=self.path, hub=self.hub, revision=self.revision)
        return self

    @property
    def source(self) -> Teacher:
        """The folder or Hub id; raises `ValueError` for the student of a run, which has none."""
        return Teacher(path=self.path, hub=self.hub, revision=self.revision)


class LongForm(Settings):
    """Transcription of recordings that are longer than a model's window."""

    join: bool = True
    """Join the utterances of a recording in their order; false: take them as they are."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1), Different] = (
        "chunked",
        "sequential",
    )
    """`chunked`: overlapping chunks, merged by their longest common sequence.

    `sequential`: windows that begin where the last timestamp was, as in openai/whisper.
    """
    chunk_s: Positive = 15.0
    """Length of a chunk in seconds; 15 is best for the paper's students (Table 23)."""
    stride_s: Annotated[float, Field(ge=0)] | None = None
    """Overlap at each end of a chunk, in seconds; null: a sixth of it, as in transformers."""

    @model_validator(mode="after")
    def _chunks_advance(self) -> Self:
        if self.stride_s is not None and 2 * self.stride_s >= self.chunk_s:
            raise ValueError(
                f"stride_s is {self.stride_s:g} and chunk_s {self.chunk_s:g}, but chunks that"
                " overlap by all they have never advance; set stride_s below half of chunk_s"
            )
        return self

    @property
    def overlap_s(self) -> float:
        """The overlap at each end of a chunk, in seconds."""
        return self.chunk_s / 6 if self.stride_s is None else self.stride_s


class Noise(Settings):
    """Held-out speech with noise added, as in Figure 2 of the paper (arXiv 2311.00430)."""

    kinds: Annotated[tuple[Literal["white", "babble"], ...], Different] = ("white", "babble")
    """`white`: Gaussian noise. `babble`: other speakers of the held-out speech, mixed."""
    folders: dict[Name, str] = Field(default_factory=dict)
    """Further kinds of noise: local folders of recordings, by name."""
    snr_db: Annotated[tuple[int, ...], Field(min_length=1)] = tuple(range(40, -15, -5))
    """Signal-to-noise ratios in dB; the power of the noise is set for each utterance."""
    num_utterances: Count = 256
    """Most utterances of each split, chosen at random."""
    num_babble_speakers: Annotated[int, Field(ge=6)] = 6
    """Speakers in the babble."""
    seed: int = 0
    """Decides the noise and the utterances."""

    @field_validator("snr_db")
    @classmethod
    def _ratios_fall(cls, ratios: tuple[int, ...]) -> tuple[int, ...]:
        if any(high <= low for high, low in pairwise(ratios)):
            raise ValueError(
                f"snr_db is {list(ratios)}, expected falling values, such as [40, 20, 0]"
            )
        return ratios

    @model_validator(mode="after")
    def _kinds_have_names_of_their_own(self) -> Self:
        if taken := sorted({"white", "babble", "silence"} & set(self.folders)):
            raise ValueError(f"folders has {taken[0]}, the name of another kind; call it otherwise")
        return self


class Evaluate(Settings):
    """The held-out speech on which teacher and student are compared, and what is measured."""

    split_role: Literal["validation", "test"] = "test"
    """Which splits to evaluate on."""
    limit_hours: Positive | None = None
    """Approximate hours of each corpus to evaluate on, in whole shards; null: all."""
    models: dict[Name, EvaluatedModel] = Field(default_factory=dict)
    """Further models to measure, by name, such as `{tiny.en: {path: models/tiny.en}}`."""
    long_form: LongForm | None = None
    """Transcribe long recordings too; null: short form alone."""
    noise: Noise | None = None
    """Transcribe speech with noise too, and noise alone; null: not measured."""
    num_timing_rounds: Count = 3
    """How often the speed of each model is measured; the median is reported."""
    timing_batch_sizes: Annotated[tuple[Count, ...], Field(min_length=1), Different] = (1, 4, 16)
    """Windows that are decoded at once while speed is measured."""
    num_timed_utterances: Count = 64
    """Utterances to measure speed on, sampled over all splits; of a long one its beginning."""
    speculative: bool = True
    """Measure speculative decoding, in which the student drafts for the teacher.

    Greedily at each of `timing_batch_sizes`, and with fallback at the smallest.
    """

    @field_validator("models")
    @classmethod
    def _names_are_free(cls, models: dict[str, EvaluatedModel]) -> dict[str, EvaluatedModel]:
        if taken := sorted({TEACHER, STUDENT} & set(models)):
            raise ValueError(f"models has {taken[0]}, which is always measured; call it otherwise")
        return models
