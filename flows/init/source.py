"""What a source of speech holds, as far as it was looked at: frozen values, no reading."""

from dataclasses import dataclass, field
from typing import Final, Literal

from configs.schema import Columns, LocalSplit

Role = Literal["train", "validation", "test"]
Basis = Literal["durations", "headers", "sample", "size"]

ROLES: Final[tuple[Role, ...]] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Speech:
    """One utterance or recording: the name that decides its split, and how long it is."""

    key: str
    """Its speaker, or its recording where no speaker is known."""

    duration_s: float | None
    """None: not known, since no column says so and its header was not read."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A folder, a table or a data set of the Hub, as a block `local` can describe it."""

    name: str
    title: str
    mirror: str | None = None
    hub: str | None = None
    revision: str | None = None
    splits: dict[str, LocalSplit]
    columns: Columns
    hours: dict[str, float]
    """By split; those of the splits that hold out a share are counted with the split they share."""

    basis: Basis
    num_rows: int | None
    num_speakers: int | None = None
    mean_duration_s: float | None = None
    longest_s: float | None = None
    train: tuple[Speech, ...] = ()
    """The training speech row by row, where the source was read that far."""

    remarks: tuple[str, ...] = field(default=())
    """What a user should know, one sentence each."""

    @property
    def has_texts(self) -> bool:
        """Whether there are transcripts."""
        return self.columns.text is not None

    @property
    def total_hours(self) -> float:
        """Over all splits."""
        return sum(self.hours.values())

    def has_role(self, role: Role) -> bool:
        """Whether some split is of this role."""
        return any(split.role == role for split in self.splits.values())
