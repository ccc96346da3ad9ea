"""Which corpora a run takes, and from where."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from configs.settings import Count, Name, Positive, Settings, holds_credentials
from configs.stages import Filter


class LocalSplit(Settings):
    """The files of a split, as patterns of paths below the mirror, and what it is used for.

    With `percent` the split takes only that share of the speakers in its files (of the recordings
    where no speaker is known), chosen by the hash of their names; the rest goes to a later split.
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    role: Literal["train", "validation", "test"] = "train"
    percent: Annotated[float, Field(gt=0, lt=100)] | None = None


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
    """Which part of a corpus a run takes, and from where.

    `mirror` is a folder or URL that holds the distributor's files under their own names; what one
    orders and brings by hand must have one. Without `checksums: sha256sums` the distributor's
    published digests must match; with it the mirror's own SHA256SUMS file is what must match, which
    is how synthetic and private copies are read. `form` chooses among several forms in which a
    corpus is handed out; `revision` pins that of a data set on the Hub; `without` names deliveries
    and files that one does not have. `filter` holds for this corpus, over what the
    run's says. A corpus of one's own has `local` in place of an adapter.
    """

    mirror: str | None = None
    checksums: Literal["published", "sha256sums"] = "published"
    form: Name | None = None
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    splits: tuple[Name, ...] | None = None
    without: tuple[Name, ...] = ()
    limit_hours: Positive | None = None
    filter: Filter | None = None
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
