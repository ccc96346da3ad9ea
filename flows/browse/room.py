"""The listening room of a run: what its page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from configs.schema import RunConfig
from flows.browse.audio import AudioReader
from flows.browse.marks import DEFAULT, MarkFiles
from flows.browse.query import MarkedRows, UtteranceIndex
from flows.state.corpus_state import CorpusState
from storage.store import Store


@dataclass(frozen=True)
class Room:
    """What the page shows: the utterances of a run, their audio, and the marks.

    `units` has `filter.unit` by corpus, `advice` says how marks get into the next run.
    """

    title: str
    index: UtteranceIndex
    audio: AudioReader
    marks: MarkFiles
    units: Mapping[str, str]
    advice: str

    def marked(self) -> MarkedRows:
        """The marks by row."""
        return self.index.rows_of(self.marks.read())


def open_room(
    config: RunConfig,
    store: Store,
    states: Sequence[CorpusState],
    table: pa.Table,
    marks: MarkFiles,
) -> Room:
    """The room of a run whose index is `table` (UTTERANCES)."""
    shards = [
        shard.receipts["normalise"].output
        for state in states
        for shard in state.shards("train")
        if "normalise" in shard.receipts
    ]
    return Room(
        title=f"Listening room: {config.publish.name}",
        index=UtteranceIndex(table),
        audio=AudioReader(store, {one.path: one for one in shards}),
        marks=marks,
        units={name: config.filter_of(name).unit for name in config.corpora},
        advice=marks_advice(config, marks),
    )


def marks_advice(config: RunConfig, marks: MarkFiles) -> str:
    """Where marks go, and what makes the next run heed them."""
    paths = {str(path) for path in marks.paths.values()}
    unread = {
        str(path)
        for corpus, path in marks.paths.items()
        if config.filter_of(corpus).marks.file is None
        or Path(config.filter_of(corpus).marks.file or DEFAULT).expanduser() != path
    }
    told = f"marks are kept in {', '.join(sorted(paths))}"
    if unread:
        return f"{told}; to use them, set filter.marks.file: {', '.join(sorted(unread))}"
    return f"{told}; the next run uses them"
