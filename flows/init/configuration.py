"""The text of a new configuration: YAML with comments that say where each value comes from."""

import textwrap
from collections.abc import Iterator
from typing import Any, Final

import yaml

from configs.schema import Columns, RunConfig
from flows.init.held_out import HeldOut, hold_out
from flows.init.source import Source
from flows.init.teacher import TeacherChoice
from flows.init.training import PAPER_EPOCHS, TrainingPlan, plan_training
from flows.state.windows import has_voices

_FILLED: Final = 0.85
"""How full a window of 30 s is, roughly, into which utterances are packed."""

_UNKNOWN_S: Final = 10.0
"""What an utterance lasts where nothing says so."""

_WIDTH: Final = 98


def configuration(source: Source, teacher: TeacherChoice, language: str) -> str:
    """A configuration that `distillery run` takes, with its reasons as comments.

    The held-out part and the size of the training are those of `hold_out` and `plan_training`. The
    text is checked against the schema before it is returned.
    """
    parts = hold_out(source)
    lines = [
        *_comment(f"{source.title}: {_amount(source)}. {' '.join(source.remarks)}"),
        *_comment(
            "Written by `distillery init`; docs/add-a-corpus.md explains every key of local."
        ),
        _line(0, "root", f"{source.name}-data"),
        "corpora:",
        f"  {_value(source.name)}:",
        *_where(source),
        "    local:",
        _line(3, "title", source.title),
        *([_line(3, "hub", source.hub)] if source.hub else []),
        f"      hours: {source.total_hours:.2f}  # for `distillery run CONFIG --plan`",
        *_splits(source, parts),
        *_columns(source.columns),
        "      licence:  # what its owner allows; a rule of the filter may ask for it",
        "        name: not stated",
        *_shards(source),
        *_normalise(source, teacher),
        *_label(source, teacher, language),
        *_filter(source),
        "publish:",
        _line(1, "name", source.name),
        *_distil(source, teacher, parts),
    ]
    text = "\n".join(lines) + "\n"
    RunConfig.model_validate(yaml.safe_load(text))
    return text


def can_be_trained_on(source: Source, parts: HeldOut) -> bool:
    """Whether there is held-out speech with references, which training and evaluation need."""
    roles = {split.role for split in parts.splits.values()}
    return source.has_texts and roles == {"train", "validation", "test"}


def window_s(source: Source, teacher: TeacherChoice) -> float:
    """What a window of training lasts, roughly, in seconds."""
    mean_s = source.mean_duration_s or _UNKNOWN_S
    if teacher.is_whole and _are_packed(source, teacher):
        return max(mean_s, _FILLED * teacher.window_s)
    return min(mean_s, teacher.window_s)


def _amount(source: Source) -> str:
    count = "" if source.num_rows is None else f" in {source.num_rows:,} rows"
    people = "" if source.num_speakers is None else f" by {source.num_speakers:,} speakers"
    how = {
        "durations": "by its column of durations",
        "headers": "by the headers of its files",
        "sample": "estimated from a sample",
        "size": "estimated from its size",
    }
    return f"{source.total_hours:.2f} h{count}{people}, {how[source.basis]}"


def _where(source: Source) -> Iterator[str]:
    if source.mirror is not None:
        yield f"    mirror: {_value(source.mirror)}  # files are read here, not copied"
    if source.revision is not None:
        yield f"    revision: {source.revision}"


def _splits(source: Source, parts: HeldOut) -> Iterator[str]:
    if parts.percents:
        whom = "speakers" if source.columns.speaker or not source.train else "recordings"
        yield from _comment(
            f"Held out here, since the source has no such part: a share of the {whom}, by the hash"
            " of their names, so that nobody is in two splits and new files move nobody."
            + ("" if source.train else " Each share of speakers is about its share of hours."),
            indent=3,
        )
    yield "      splits:"
    for name, split in parts.splits.items():
        yield f"        {_value(name)}:"
        yield _line(5, "files", list(split.files))
        yield _line(5, "role", split.role)
        if split.percent is not None:
            yield f"{_line(5, 'percent', split.percent)}  # {parts.hours[name]:.2f} h"


def _columns(columns: Columns) -> Iterator[str]:
    changed = columns.model_dump(exclude_defaults=True)
    if changed:
        yield "      columns:"
        yield from (_line(4, key, value) for key, value in changed.items())


def _shards(source: Source) -> Iterator[str]:
    """As many shards as keep a few workers busy, at most those of the default size."""
    target = round(min(8.0, max(0.25, source.total_hours / 8)), 2)
    yield "plan:"
    yield f"  target_shard_hours: {_value(target)}  # the unit of work and of retry"


def _normalise(source: Source, teacher: TeacherChoice) -> Iterator[str]:
    is_cut = _is_cut(source, teacher)
    if teacher.is_whole and not is_cut:
        return
    yield "normalise:"
    if not teacher.is_whole:
        yield f"  max_duration_s: {_value(teacher.window_s)}  # what this teacher takes at once"
    if is_cut:
        yield "  segment: vad  # long recordings are cut at pauses; needs the extra `vad`"


def _is_cut(source: Source, teacher: TeacherChoice) -> bool:
    """Whether recordings are cut by voice activity."""
    return not source.has_texts and (source.longest_s or 0.0) > teacher.window_s


def _are_packed(source: Source, teacher: TeacherChoice) -> bool:
    """Whether it is known which utterances may share a window."""
    return has_voices(source.columns) or _is_cut(source, teacher)


def _label(source: Source, teacher: TeacherChoice, language: str) -> Iterator[str]:
    yield "label:"
    yield "  teacher:"
    for key, value in teacher.settings.model_dump(exclude_none=True).items():
        yield _line(2, key, value)
    yield _line(1, "language", language)
    if teacher.is_whole:
        yield "  timestamps: true"
    if teacher.is_whole and _are_packed(source, teacher):
        whose = "speaker" if source.columns.speaker else "recording"
        yield f"  pack: speaker  # utterances of one {whose} fill windows of 30 s"
    else:
        why = (
            "no speaker is known; `any` joins them all"
            if teacher.is_whole
            else "its window is short"
        )
        yield f"  pack: none  # {why}"
    yield "  dtype: float32  # bfloat16 is faster on a GPU"


def _filter(source: Source) -> Iterator[str]:
    yield "filter:"
    if source.has_texts:
        yield "  max_wer_percent: 10  # the paper's; `distillery sweep CONFIG` compares others"
    else:
        yield "  drop_empty_reference: false  # there are no texts: labels are judged by themselves"


def _distil(source: Source, teacher: TeacherChoice, parts: HeldOut) -> Iterator[str]:
    train_hours = sum(
        parts.hours[name] for name, split in parts.splits.items() if split.role == "train"
    )
    if not can_be_trained_on(source, parts):
        yield from _comment(
            "Training chooses weights by, and measures on, held-out speech with texts, of which"
            " this source has none: add a corpus that has some, such as librispeech with splits"
            " [dev-clean, test-clean], or stop after `publish`."
        )
    validation_hours = sum(
        parts.hours[name] for name, split in parts.splits.items() if split.role == "validation"
    )
    # validation speech is never packed into windows: each utterance counts
    num_held_out = round(validation_hours * 3600 / (source.mean_duration_s or _UNKNOWN_S))
    plan = plan_training(train_hours, window_s(source, teacher), num_held_out or None)
    yield from _reasons(plan, train_hours, window_s(source, teacher))
    yield "distil:"
    if (num_layers := plan.num_decoder_layers(teacher.num_decoder_layers)) is not None:
        yield f"  decoder_layers: {num_layers}  # of the teacher's {teacher.num_decoder_layers}"
        yield "  layer_choice: auto"
    yield f"  num_steps: {plan.num_steps}"
    yield f"  batch_size: {plan.batch_size}"
    yield f"  num_warmup_steps: {plan.num_warmup_steps}"
    yield f"  evaluate_every_steps: {plan.evaluate_every_steps}"
    yield f"  num_validation_windows: {plan.num_validation_windows}"
    if not teacher.is_whole:
        yield "  timestamp_probability: 0"


def _reasons(plan: TrainingPlan, train_hours: float, window_s: float) -> Iterator[str]:
    yield from _comment(
        f"Sized to {train_hours:.2f} h for training: {train_hours:.2f} h * 3600 / {window_s:.1f} s"
        f" = {plan.num_windows:,} windows before the filter; {plan.num_steps:,} updates of"
        f" {plan.batch_size} windows are {plan.num_epochs:.1f} epochs. The paper has"
        f" {PAPER_EPOCHS} epochs, 80,000 updates of 256; a small set takes a smaller batch, so"
        " that an epoch has 128 updates, and at least 1,000 updates or 50 epochs. Warm-up is a"
        " twentieth of the updates, at most 500. Every sixteenth of them the weights are"
        " evaluated, and the best are kept: more updates cost time, not quality."
    )


def _comment(text: str, indent: int = 0) -> Iterator[str]:
    before = "  " * indent
    yield from textwrap.wrap(
        " ".join(text.split()),
        _WIDTH,
        initial_indent=f"{before}# ",
        subsequent_indent=f"{before}# ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _line(indent: int, key: str, value: Any) -> str:
    return f"{'  ' * indent}{key}: {_value(value)}"


def _value(value: Any) -> str:
    """A value as YAML in one line.

    >>> _value("a: b"), _value(["*.flac"]), _value(None), _value(5.0)
    ("'a: b'", "['*.flac']", 'null', '5')
    """
    plain = int(value) if isinstance(value, float) and value.is_integer() else value
    dumped = yaml.safe_dump(plain, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return dumped.removesuffix("...\n").strip()
