"""What a run has labelled and measured, joined to the audio."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

import distillery
from configs.evaluate import TEACHER
from configs.load import load_config
from configs.schema import Normalise, RunConfig, VoiceActivity
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.evaluation.current_report import find_report
from flows.state.evaluation.measurements import measurements
from flows.state.models import find_student
from flows.state.publication import find_current
from storage.manifest import Manifest
from storage.receipt import FileRef
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ, Samples, decode_flac
from tasks.evaluate.findings import CLEAN
from tasks.evaluate.result import Report
from tasks.normalise.segment import speech_segments
from tasks.text.comparison import WordErrors, count_word_errors, normaliser
from tasks.whisper.tokens import SpecialTokens

_EXACT: Final = Normalise(voice_activity=VoiceActivity(pad_s=0.0, max_pause_s=0.1))
_STEP_S: Final = 0.02  # between two timestamp tokens


@dataclass(frozen=True, kw_only=True)
class LabelledWindow:
    """A window with its audio, (samples,) float32 at 16 kHz; `reference` is normalised."""

    corpus: str
    window_id: str
    samples: Samples
    reference: str
    text: str
    tokens: tuple[int, ...]
    temperature: float
    flags: tuple[str, ...]
    is_kept: bool
    columns: dict[str, Any]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ

    def end_s(self, special: SpecialTokens) -> float | None:
        """The timestamp that closes the label; None if the label does not end with one."""
        content = [token for token in self.tokens if token != special.end_id]
        if not special.is_timestamp(content[-1]) or len(content) == special.prompt_length(content):
            return None
        return (content[-1] - special.no_timestamps_id - 1) * _STEP_S

    def missing_speech_s(self, special: SpecialTokens) -> float:
        """The speech after the end of the label, by voice activity; 0 if it is not closed."""
        end_s = self.end_s(special)
        rest = self.samples[len(self.samples) if end_s is None else round(end_s * SAMPLE_RATE_HZ) :]
        segments = speech_segments(np.round(rest * 32768).astype(np.int16), _EXACT)
        return sum(end - start for start, end in segments) / SAMPLE_RATE_HZ


@dataclass(frozen=True, kw_only=True)
class MeasuredUtterance:
    """A held-out utterance with its audio; reference and hypothesis are normalised."""

    id: str
    samples: Samples
    reference: str
    hypothesis: str


@dataclass(frozen=True)
class Results:
    """Everything that a finished run has stored."""

    path: Path

    @property
    def config(self) -> RunConfig:
        return load_config(self.path)

    def archive(self, split: str) -> Path:
        """The archive of a split of LibriSpeech."""
        mirror = self.config.corpora["librispeech"].mirror
        assert mirror is not None
        return Path(mirror) / f"{split}.tar.gz"

    def labelled(self) -> list[LabelledWindow]:
        """The windows of all training shards, in their order."""
        evidence = distillery.read_evidence(self.config, columns=["window_id", "reference"])
        references = {row["window_id"]: row["reference"] for row in evidence.to_pylist()}
        kept = distillery.read_kept(self.config, columns=["window_id"])
        is_kept = set(kept.column("window_id").to_pylist())
        return [
            LabelledWindow(
                corpus=state.name,
                window_id=row["window_id"],
                samples=np.concatenate([audio[one] for one in row["utterance_ids"]]),
                reference=references.get(row["window_id"], ""),
                text=row["pseudo_text"].strip(),
                tokens=tuple(row["pseudo_tokens"]),
                temperature=row["temperature"],
                flags=tuple(row["flags"]),
                is_kept=row["window_id"] in is_kept,
                columns=row,
            )
            for state in self._states
            for shard in state.shards("train")
            for audio in [self._audio(shard.receipts["normalise"].output)]
            for row in self._rows(shard.receipts["label"].output)
        ]

    def measured(self) -> list[MeasuredUtterance]:
        """The held-out utterances as the teacher transcribed them."""
        states, store = self._states, self._store
        student = find_student(self.config, store, states, self._published)
        found = measurements(self.config, store, states, student)
        return [
            MeasuredUtterance(
                id=row["id"],
                samples=audio[row["id"]],
                reference=row["reference"],
                hypothesis=row["hypothesis"],
            )
            for one in found
            if one.model.name == TEACHER and one.condition.name == CLEAN and one.receipt is not None
            for audio in [self._audio(one.audio)]
            for row in self._rows(one.receipt.output)
        ]

    def report(self) -> Report:
        """Teacher and student on the held-out speech."""
        found = find_report(self.config, self._store, self._states, self._published)
        assert found is not None
        return found

    @property
    def _published(self) -> Manifest:
        published = find_current(self.config, self._store, self._states)
        assert published is not None
        return published

    @property
    def _store(self) -> Store:
        return Store(self.config.root)

    @property
    def _states(self) -> Sequence[CorpusState]:
        return corpus_states(self.config, self._store)

    def _audio(self, file: FileRef) -> dict[str, Samples]:
        return {row["id"]: decode_flac(row["audio"]["bytes"]) for row in self._rows(file)}

    def _rows(self, file: FileRef) -> list[dict[str, Any]]:
        with self._store.fetch(file) as path:
            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
            return rows


def word_errors(references: Iterable[str], texts: Iterable[str]) -> WordErrors:
    """The word errors of texts, normalised here, against normalised references, all together."""
    normalise = normaliser("english")
    total = WordErrors()
    for one in count_word_errors(list(references), [normalise(text) for text in texts]):
        total += one
    return total
