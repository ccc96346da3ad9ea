"""One shard to make: where it goes, what it is made from, and how its inputs are read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import RunConfig
from storage.outcome import Outcomes
from storage.receipt import FileRef
from storage.stage import Place
from storage.store import Store
from tasks.corpora.base import Corpus
from tasks.corpora.registry import corpus_of_run
from tasks.evaluate.conditions import AS_IT_IS, Condition
from tasks.evaluate.models import MeasuredModel

BATCH_ROWS: Final = 64


@dataclass(frozen=True, kw_only=True)
class Job:
    """A shard of a stage that is ready to be made.

    `sources` are the digests that its receipt will name; `inputs` are upstream files by stage;
    `row_group` is the shard's place in the file of the plan. `model` is the one to measure in
    `evaluate`, under a `condition`; `babble` is the speech that babble is mixed from.
    `evaluation_index` are the files that `filter` checks for contamination.
    """

    place: Place
    sources: tuple[str, ...]
    inputs: Mapping[str, FileRef]
    row_group: int = 0
    model: MeasuredModel | None = None
    condition: Condition = AS_IT_IS
    babble: tuple[FileRef, ...] = ()
    evaluation_index: tuple[FileRef, ...] = ()


@dataclass(frozen=True)
class Output:
    """What a transform yields, and what the commit checks and records.

    `input_ids` are the ids of all rows that went in. `recorded` goes into the receipt as it is,
    for what may vary between machines.
    """

    input_ids: Sequence[str]
    outcomes: Outcomes
    recorded: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """What the shard function of a stage works with; files stay open as long as `open_files`."""

    config: RunConfig
    store: Store
    job: Job
    open_files: ExitStack

    @property
    def corpus(self) -> Corpus:
        """The corpus that the shard belongs to."""
        return corpus_of_run(self.config, self.job.place.key.corpus)

    def path(self, stage: str) -> str:
        """A local copy of what `stage` made of this shard.

        Raises `IntegrityError` when its digest is not that of the receipt.
        """
        return str(self.open_files.enter_context(self.store.fetch(self.job.inputs[stage])))

    def table(self, stage: str, columns: Sequence[str] | None = None) -> pa.Table:
        """What `stage` made of this shard as a table; raises as `path`."""
        return pq.read_table(self.path(stage), columns=columns)

    def parquet(self, stage: str) -> pq.ParquetFile:
        """What `stage` made of this shard, to be read in pieces; raises as `path`.

        Not buffered ahead, because all that was read would then stay in memory.
        """
        return pq.ParquetFile(self.path(stage), pre_buffer=False)

    def batches(self, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
        """The rows of a file, `BATCH_ROWS` at a time; see `row_batches`."""
        return row_batches(file)


def row_batches(file: pq.ParquetFile, num_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """The rows of a file, at most `num_rows` at a time.

    No batch spans row groups, whose size in bytes is limited, so memory is bounded however long the
    audio in the rows is.
    """
    for group in range(file.num_row_groups):
        yield from file.iter_batches(num_rows, row_groups=[group])
