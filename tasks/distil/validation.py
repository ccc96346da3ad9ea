"""The validation of a student: its word error rate on held-out speech."""

import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import torch
from torch import nn
from transformers import WhisperForConditionalGeneration

from configs.schema import RunConfig
from storage.outcome import Rejected
from storage.store import Store
from tasks.corpora.registry import corpus_of_run
from tasks.distil.best import Score
from tasks.distil.validation_speech import ValidationSpeech
from tasks.evaluate.engine import encodings_of, shares_encodings
from tasks.evaluate.shard import measure_shard
from tasks.evaluate.statistics.rates import macro_average, word_errors
from tasks.text.comparison import WordErrors
from tasks.whisper.encoding.cache import OutputCache
from tasks.whisper.engine import Engine
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.whisper import WhisperEngine


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a student achieves on the validation speech.

    `wer_percent` is the macro-average over the sets, by which the paper (arXiv 2311.00430)
    chooses its checkpoints; NaN if nothing could be measured. `by_set` has the word error rate of
    each set, `num_utterances` were measured, and `excluded` counts the others by reason.
    """

    wer_percent: float
    by_set: Mapping[str, float | None]
    num_utterances: int
    excluded: Mapping[str, int]


OnValidation = Callable[[Validation], None]
"""Called with the result of each validation, before the row with its rate is reported.

That of averaged weights has no row.
"""


class Validator:
    """Scores students during a training as `distillery evaluate` does, by word error rate.

    That is in `label.dtype` and with the teacher's features and tokens. The output of a frozen
    encoder is kept on disk, where `shares_encodings` says so.
    """

    def __init__(
        self,
        config: RunConfig,
        store: Store,
        teacher: LoadedWhisper,
        speech: ValidationSpeech,
        on_validation: OnValidation | None = None,
    ) -> None:
        self._config, self._teacher, self._speech = config, teacher, speech
        self._scratch = store.scratch_folder()
        self._encodings: OutputCache | None = None
        self._on_validation = on_validation

    def __call__(self, student: WhisperForConditionalGeneration) -> Score:
        """The word error rate of a student on its device, in percent."""
        found = self._validate(student)
        if self._on_validation is not None:
            self._on_validation(found)
        details = {
            "num_validation_utterances": found.num_utterances,
            "validation_wer_percent_by_set": dict(found.by_set),
            "validation_excluded": dict(found.excluded),
        }
        return Score(found.wer_percent, details)

    def _validate(self, student: WhisperForConditionalGeneration) -> Validation:
        dtype: torch.dtype = getattr(torch, self._config.label.dtype)
        if student.dtype != dtype:
            student = copy.deepcopy(student)
            module: nn.Module = student
            module.to(dtype)
        model = LoadedWhisper(
            model=student,
            feature_extractor=self._teacher.feature_extractor,
            tokenizer=self._teacher.tokenizer,
        )
        runtime = self._config.runtime
        if self._encodings is None and shares_encodings(self._config, model):
            self._encodings = encodings_of(model, self._scratch, runtime.encoder_cache_gb)
        engine = WhisperEngine(model, runtime.label_batch_size, encoder_cache=self._encodings)
        return validate(self._config, engine, self._speech)


def validate(config: RunConfig, student: Engine, speech: ValidationSpeech) -> Validation:
    """Transcribe and compare all of the validation speech, long recordings included."""
    by_set: dict[str, float | None] = {}
    num_utterances = 0
    excluded = Counter[str]()
    for name, batches in speech.items():
        errors = WordErrors()
        for outcome in measure_shard(
            batches,
            student,
            corpus_of_run(config, name.split("/")[0]).clean,
            config.label,
            config.score,
            num_threads=config.runtime.workers,
        ):
            if isinstance(outcome, pa.RecordBatch):
                errors += word_errors(pa.Table.from_batches([outcome]))
                num_utterances += outcome.num_rows
            elif isinstance(outcome, Rejected):
                excluded[outcome.reason] += 1
        by_set[name] = errors.wer_percent
    mean = macro_average(by_set.values())
    return Validation(
        wer_percent=math.nan if mean is None else mean,
        by_set=by_set,
        num_utterances=num_utterances,
        excluded=dict(sorted(excluded.items())),
    )
