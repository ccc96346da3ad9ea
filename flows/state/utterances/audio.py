"""The audio of one utterance, from the shard that `normalise` stored it in."""

from typing import Final

import pyarrow.parquet as pq

from configs.schema import RunConfig
from flows.state.corpus_state import corpus_states
from flows.state.utterances.history import UtteranceHistory
from storage.errors import UserError
from storage.shard import ShardKey
from storage.store import Store

_STAGE: Final = "normalise"


def read_audio(config: RunConfig, store: Store, history: UtteranceHistory) -> bytes:
    """A FLAC file with the audio of an utterance: mono, 16 bit, 16 kHz.

    Raises `UserError` for an utterance whose audio is not stored, with the reason.
    """
    if history.utterance is None or "duration_s" not in history.utterance:
        decision = history.decision
        why = ": ".join(one for one in (decision.reason, decision.detail) if one)
        raise UserError(
            f"{history.id} has no stored audio: {decision.outcome} at {decision.stage}"
            f"{f', {why}' if why else ''}; `distillery explain` without --wav and --play shows"
            " its source"
        )
    key = ShardKey.parse(str(history.shard))
    state = next(one for one in corpus_states(config, store) if one.corpus.name == key.corpus)
    shard = next(one for one in state.shards_of(key.split) if one.key == key)
    with store.fetch(shard.receipts[_STAGE].output) as path:
        return _audio_in(pq.ParquetFile(path), history.id)


def _audio_in(table: pq.ParquetFile, id: str) -> bytes:
    """The audio of a row; only the row group that has it is read."""
    for number in range(table.num_row_groups):
        ids = table.read_row_group(number, columns=["id"]).column("id").to_pylist()
        if id in ids:
            row = table.read_row_group(number, columns=["audio"]).column("audio")[ids.index(id)]
            data: bytes = row["bytes"].as_py()
            return data
    raise KeyError(id)
