"""The stage `filter`: which windows and utterances are good enough to learn from."""

from collections.abc import Iterator
from typing import Final

from configs.schema import RunConfig
from storage.fingerprint import digest
from storage.schema import row_ids
from tasks.filter.evaluated import evaluated_speech
from tasks.filter.rules import FilterContext
from tasks.filter.schema import KEPT
from tasks.filter.shard import filter_shard
from tasks.job import Inputs, Output
from tasks.stage import (
    Parameter,
    Resource,
    Scope,
    Stage,
    StageContext,
    is_trained_on,
    settings_parameters,
)

_SPECIAL: Final = frozenset({"rights", "takedown", "marks"})


def _make(inputs: Inputs) -> Output:
    config, job = inputs.config, inputs.job
    evidence = inputs.table("score")
    settings = config.filter_of(inputs.corpus.name)
    evaluated = evaluated_speech(config, settings, job.evaluation_index, job.inputs.get("index"))
    context = FilterContext(
        licence=inputs.corpus.licence,
        evaluated=evaluated,
        marks=settings.marks.of(inputs.corpus.name),
    )
    return Output(row_ids(evidence), filter_shard(evidence, settings, context))


def _parameters(context: StageContext) -> Iterator[Parameter]:
    """Takedown lists and marks enter by a digest, because everyone can read a manifest.

    Of the marks, only those of the corpus enter, and nothing of how they are written.

    Where every window is kept, none is drawn, whatever the seed.

    Rights enter with what the licence says about them, so that a changed licence is checked again.
    """
    settings = context.config.filter_of(context.corpus.name)
    drawn = settings if settings.fraction < 1 else settings.model_copy(update={"fraction_seed": 0})
    yield from settings_parameters(drawn, exclude=_SPECIAL)
    licence = context.corpus.licence
    rights = {str(right): bool(getattr(licence, right)) for right in settings.rights}
    yield Parameter("rights", rights, {})
    takedown = settings.takedown
    num_listed = len(takedown.ids) + len(takedown.speakers)
    listed = digest(takedown.model_dump(mode="json", exclude_defaults=True))
    yield Parameter("takedown", f"{num_listed} listed, {listed}" if num_listed else None, None)
    marks = settings.marks.of(context.corpus.name)
    marked = digest([marks.exclude, marks.keep])
    yield Parameter("marks", f"{len(marks)} marked, {marked}" if len(marks) else None, None)
    if settings.contamination is not None:
        yield Parameter("contamination.index", context.evaluation_index)


def _needs_evaluation_index(config: RunConfig, corpus: str) -> bool:
    return config.filter_of(corpus).contamination is not None


FILTER: Final = Stage(
    name="filter",
    version=4,
    scope=Scope.SHARD,
    resource=Resource.CPU,
    inputs=("score", "index"),
    schema=KEPT,
    parameters=_parameters,
    applies=is_trained_on,
    needs_evaluation_index=_needs_evaluation_index,
    make_shard=_make,
    defaults={
        "unit": "window",
        "max_wer_percent": 10.0,
        "max_utterance_wer_percent": None,
        "drop_empty_reference": True,
        "drop_empty_hypothesis": True,
        "drop_upper_case": False,
        "max_duration_s": None,
        "max_tokens": 448,
        "languages": None,
        "max_foreign_percent": None,
        "hallucination.max_repeats": None,
        "hallucination.max_compression_ratio": None,
        "hallucination.max_chars_per_s": None,
        "hallucination.flags": ["early_end"],
        "contamination": None,
        "contamination.ngram_words": 10,
        "contamination.audio": True,
        "without_reference.min_avg_logprob": -0.5,
        "without_reference.max_no_speech_prob": 0.6,
        "without_reference.max_compression_ratio": 2.4,
        "without_reference.max_repeats": 4,
        "without_reference.min_chars_per_s": 1.0,
        "without_reference.max_chars_per_s": 30.0,
        "rights": {},
        "takedown": None,
        "marks": None,
        "fraction": 1.0,
        "fraction_seed": 0,
    },
)
