"""The configuration of a run, as frozen values that validate themselves.

Settings that change a result enter the fingerprint of their stage; the settings of the machine,
all under `runtime`, never do.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Positive = Annotated[float, Field(gt=0)]
Percent = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Settings(BaseModel):
    """A frozen block of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LocalSplit(Settings):
    """The files of a split, as patterns of paths below the mirror, and what it is used for."""

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    role: Literal["train", "validation", "test"] = "train"


class Columns(Settings):
    """What the columns (Parquet) or keys (JSON Lines) are called; None: there is none.

    `audio` holds the path of a file beside the table, or in Parquet the bytes of one. Times are in
    seconds into that audio. Without `id` a row is known by its file and number.
    """

    audio: str = "audio"
    text: str | None = "text"
    id: str | None = None
    speaker: str | None = None
    recording: str | None = None
    start_s: str | None = None
    end_s: str | None = None
    duration_s: str | None = None


class LocalLicence(Settings):
    """What one may do with a corpus of one's own."""

    name: str = "not stated"
    commercial_use: bool = True
    derivatives: bool = True
    redistribution: bool = False


class LocalCorpus(Settings):
    """A corpus without an adapter: audio files with a `.txt` beside each, JSON Lines, or Parquet.

    Its files lie below the corpus's `mirror`, or in the data set `hub` at the corpus's `revision`.
    """

    title: str = ""
    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    splits: Annotated[dict[Name, LocalSplit], Field(min_length=1)]
    columns: Columns = Columns()
    hours: Annotated[float, Field(ge=0)] = 0.0  # as far as known, for estimates
    licence: LocalLicence = LocalLicence()


class CorpusSettings(Settings):
    """Which part of a corpus a run takes, and from where.

    `mirror` is a folder or URL that holds the distributor's files under their own names; what one
    orders and brings by hand must have one. Without `checksums: sha256sums` the distributor's
    published digests must match; with it the mirror's own SHA256SUMS file is what must match, which
    is how synthetic and private copies are read. `form` chooses among several forms in which a
    corpus is handed out; `revision` pins that of a data set on the Hub. A corpus of one's own has
    `local` in place of an adapter.
    """

    mirror: str | None = None
    checksums: Literal["published", "sha256sums"] = "published"
    form: Name | None = None
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    splits: tuple[Name, ...] | None = None
    limit_hours: Positive | None = None
    local: LocalCorpus | None = None

    @field_validator("mirror")
    @classmethod
    def _mirror_has_no_credentials(cls, mirror: str | None) -> str | None:
        if mirror is not None and holds_credentials(mirror):
            raise ValueError(
                "the mirror holds what looks like credentials; give them by the environment,"
                " or bring the files to a folder and name that"
            )
        return mirror


class Synthetic(Settings):
    """Make the archives on this machine first, in the corpora's genuine distribution formats."""

    folder: str
    seed: int = 0
    num_train_utterances: Count
    num_eval_utterances: Count


class Plan(Settings):
    """How segments are grouped into shards, the unit of work and retry."""

    target_shard_hours: Positive = 8.0


class Normalise(Settings):
    """What audio becomes: FLAC, mono, 16 bit, at Whisper's 16 kHz."""

    max_duration_s: Positive = 30.0
    min_duration_s: Annotated[float, Field(ge=0)] = 0.1


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


class Label(Settings):
    """How the teacher labels: greedy, without previous text as a prompt."""

    engine: Literal["transformers"] = "transformers"
    teacher: Teacher
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    language: str = "en"
    task: Literal["transcribe", "translate"] = "transcribe"
    timestamps: bool = False
    pack: Literal["none", "speaker", "any"] = "speaker"
    max_new_tokens: Count | None = None


class Score(Settings):
    """What counts as the same words."""

    normaliser: Literal["english", "basic"] = "english"


class Filter(Settings):
    """Which windows are good enough to learn from."""

    max_wer_percent: Percent = 10.0
    drop_empty_reference: bool = True
    drop_empty_hypothesis: bool = True


class Publish(Settings):
    """The name of the manifest, and whether it may have holes."""

    name: Name
    allow_missing_shards: bool = False


class Distil(Settings):
    """The student and its training; defaults are the paper's (section 4.1 and Table 15)."""

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
    dtype: Literal["float32", "bfloat16"] = "float32"
    evaluate_every_steps: Count = 5_000
    num_validation_windows: Count = 1_000
    seed: int = 0


class Evaluate(Settings):
    """Which held-out speech the teacher and the student are measured on."""

    split_role: Literal["validation", "test"] = "test"
    limit_hours: Positive | None = None
    num_timing_rounds: Count = 3


class Runtime(Settings):
    """Settings of the machine; none of them enters a fingerprint."""

    workers: Count = 2
    downloads_per_host: Count = 4
    device: Literal["auto", "cpu", "cuda"] = "auto"
    label_batch_size: Count = 16
    micro_batch_size: Count = 16
    retries: Annotated[int, Field(ge=0)] = 2
    retry_delay_s: Annotated[float, Field(ge=0)] = 10.0
    shard_timeout_s: Positive = 6 * 3600.0
    max_quarantined_percent: Percent = 1.0
    scratch: str | None = None


class RunConfig(Settings):
    """Everything one run does, from the corpora to the measured student."""

    root: str
    licence: Literal["any", "commercial"] = "any"
    synthetic: Synthetic | None = None
    corpora: Annotated[dict[Name, CorpusSettings], Field(min_length=1)]
    plan: Plan = Plan()
    normalise: Normalise = Normalise()
    label: Label
    score: Score = Score()
    filter: Filter = Filter()
    publish: Publish
    distil: Distil = Distil()
    evaluate: Evaluate = Evaluate()
    runtime: Runtime = Runtime()

    @field_validator("root")
    @classmethod
    def _root_has_no_credentials(cls, root: str) -> str:
        if holds_credentials(root):
            raise ValueError(
                "the root holds what looks like credentials; give it as s3://bucket/prefix"
                " and the credentials by the environment"
            )
        return root.rstrip("/") if root != "/" else root


def holds_credentials(url: str) -> bool:
    """Whether a URL has what may log in: no part of it may be shown then.

    >>> holds_credentials("s3://key:sec/ret@bucket/prefix"), holds_credentials("data@home/results")
    (True, False)
    """
    return "@" in url.partition("://")[2]
