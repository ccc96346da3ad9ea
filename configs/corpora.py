"""Which corpora a run uses, and where their files come from."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from configs.filter import Filter
from configs.settings import Count, Name, Positive, Settings, holds_credentials


class LocalSplit(Settings):
    """One split of a local corpus."""

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    """Glob patterns of paths below the mirror, such as `*.wav` or `train/*.parquet`."""
    role: Literal["train", "validation", "test"] = "train"
    """What the split is used for."""
    percent: Annotated[float, Field(gt=0, lt=100)] | None = None
    """Percentage of the speakers in the files, by the hash of their names; null: all.

    Recordings stand in for speakers where no speaker is known, or where `speaker_ids` is
    `recording`. The rest goes to a later split.
    """


class Columns(Settings):
    """Names of the columns (Parquet) or keys (JSON Lines) of a table; null: the table has none."""

    audio: str = "audio"
    """Path of an audio file, relative to the table; in Parquet also the bytes of one."""
    text: str | None = "text"
    """The reference transcript."""
    id: str | None = None
    """Utterance id; null: made from the file name and the row number."""
    speaker: str | None = None
    """Speaker id."""
    recording: str | None = None
    """Recording id."""
    start_s: str | None = None
    """Start of the utterance in the audio, in seconds."""
    end_s: str | None = None
    """End of the utterance in the audio, in seconds."""
    duration_s: str | None = None
    """Duration of the utterance, in seconds."""


class LocalLicence(Settings):
    """The licence of a local corpus, as its owner states it."""

    name: str = "not stated"
    """Name of the licence, such as `CC-BY-4.0`."""
    commercial_use: bool = True
    """Whether commercial use is allowed."""
    derivatives: bool = True
    """Whether derived works are allowed."""
    redistribution: bool = False
    """Whether audio and text may be redistributed."""


class LocalCorpus(Settings):
    """A corpus without an adapter: audio files with a `.txt` beside each, JSON Lines, or Parquet.

    Its files are below the `mirror` of the corpus, or in a Hub data set.
    """

    title: str = ""
    """Title for display."""
    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """Id of a Hub data set; needs the `revision` of the corpus."""
    splits: Annotated[dict[Name, LocalSplit], Field(min_length=1)]
    """The splits by name."""
    columns: Columns = Columns()
    speaker_ids: Literal["corpus", "recording"] = "corpus"
    """Where a speaker id names one person: in all recordings, or only within one of them.

    Set `recording` for ids such as `speaker_0` that mean another person in each recording.
    """
    hours: Annotated[float, Field(ge=0)] = 0.0
    """Approximate hours of audio, for `--plan`; 0: unknown."""
    licence: LocalLicence = LocalLicence()

    @model_validator(mode="after")
    def _a_share_leaves_a_rest(self) -> Self:
        splits = list(self.splits.items())
        for number, (name, split) in enumerate(splits, start=1):
            rest = {
                file
                for _, later in splits[number:]
                if later.percent is None
                for file in later.files
            }
            if split.percent is not None and not rest.issuperset(split.files):
                raise ValueError(
                    f"splits.{name} takes {split.percent:g} % of its files, and no later split"
                    f" takes the rest: name {', '.join(split.files)} in a split without percent"
                )
        return self


class CorpusSettings(Settings):
    """The part of a corpus that a run uses, and where its files come from."""

    mirror: str | None = None
    """Folder or URL with the distributor's files under their original names.

    null: download from the distributor. Required for corpora that must be ordered.
    """
    checksums: Literal["published", "sha256sums"] = "published"
    """What downloads are verified against: the published digests, or SHA256SUMS in the mirror.

    Use `sha256sums` for synthetic and private copies.
    """
    form: Name | None = None
    """Which distribution to use, for corpora that are distributed in several forms."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """Commit of a Hub data set; null: the one that the adapter pins."""
    splits: tuple[Name, ...] | None = None
    """Splits to use; null: all."""
    without: tuple[Name, ...] = ()
    """Deliveries and files of the corpus that are not available and are skipped."""
    limit_hours: Positive | None = None
    """Approximate hours of each split to use, in whole shards from the first; null: all."""
    filter: Filter | None = None
    """Overrides single keys of the run's `filter` for this corpus."""
    local: LocalCorpus | None = None
    """Describes a corpus that has no adapter."""

    @field_validator("mirror")
    @classmethod
    def _mirror_has_no_credentials(cls, mirror: str | None) -> str | None:
        if mirror is not None and holds_credentials(mirror):
            raise ValueError(
                "the mirror seems to contain credentials; give them in the environment, or copy the"
                " files to a folder and name that"
            )
        return mirror


class Synthetic(Settings):
    """Generate synthetic archives first, in the original distribution formats of the corpora."""

    folder: str
    """Folder for the archives."""
    seed: int = 0
    """Seed of the generator; equal seeds give equal archives."""
    num_train_utterances: Count
    """Utterances per training split."""
    num_eval_utterances: Count
    """Utterances per validation or test split."""
