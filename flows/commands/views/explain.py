"""The views of `explain`: one utterance's history, and the rows rejected for one reason."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.text import Text

from flows.commands.terminal.render import Fact, Part, View
from flows.state.rejections import Rejection
from flows.state.utterances.history import UtteranceHistory
from tasks.text.alignment import AlignmentChunk

_STYLES: Final = {"hit": "", "substitution": "yellow", "deletion": "red", "insertion": "green"}
_OUTCOME_STYLES: Final = {"kept": "bold green", "dropped": "bold red", "quarantined": "bold red"}

Field = tuple[str, Text | str]
"""A name, or nothing for a further line of the field before, and its text."""


def rejections_view(rejections: Sequence[Rejection], limit: int) -> View:
    """Rejected rows: all of them as JSON, at most `limit` of them on a terminal."""
    return View(rejections, _rejections_parts(rejections, limit))


def _rejections_parts(rejections: Sequence[Rejection], limit: int) -> Iterator[Part]:
    for row in rejections[:limit]:
        yield f"{row.id}  {row.corpus}/{row.split}  {row.stage}: {row.detail}"
    more = len(rejections) - limit
    shown = f", {more} more with --limit {len(rejections)}" if more > 0 else ""
    yield f"{len(rejections)} rows: {rejections[0].reason}{shown}"


def history_view(history: UtteranceHistory) -> View:
    """A line for each fact about an utterance, its alignment in colour, and the decision."""
    return View(history, _history_parts(history))


def _history_parts(history: UtteranceHistory) -> Iterator[Part]:
    for name, text in _fields(history):
        yield Fact(name, text)


def _fields(history: UtteranceHistory) -> Iterator[Field]:
    yield "id", history.id
    yield "shard", history.shard or f"{history.corpus}/{history.split}, not planned"
    if history.source is not None:
        yield "source", _source(history.source)
    if history.utterance is not None:
        yield from _utterance(history, history.utterance)
    if history.label is not None:
        yield from _label(history, history.label)
    if history.evidence is not None and history.own_evidence is not None:
        yield from _evidence(history, history.evidence, history.own_evidence)
    for stage, row in history.stages.items():
        shown = (f"{name} {value}" for name, value in row.items() if name != "id")
        yield stage, ", ".join(shown)
    if history.mark is not None:
        yield "mark", history.mark
    decision = history.decision
    text = f"{decision.outcome} at {decision.stage}"
    text += f": {decision.reason}" if decision.reason else ""
    text += f" ({decision.detail})" if decision.detail else ""
    yield "decision", Text(text, _OUTCOME_STYLES.get(decision.outcome, "bold"))


def _source(source: dict[str, Any]) -> str:
    value = f", {source['column']} of row {source['row']}" if source["column"] else ""
    end = "the end" if source["end_s"] is None else f"{source['end_s']:.2f} s"
    return (
        f"{source['file']}, {source['size']} bytes from {source['offset']}{value},"
        f" channel {source['channel']}, {source['start_s']:.2f} s to {end}"
    )


def _utterance(history: UtteranceHistory, utterance: dict[str, Any]) -> Iterator[Field]:
    yield "recording", utterance["recording_id"]
    yield "speaker", utterance["speaker_id"] or "unknown"
    if "duration_s" in utterance:
        yield "audio", f"{utterance['duration_s']:.2f} s"
    yield "raw text", utterance["raw_text"]
    none = f"none: {history.no_reference}" if history.no_reference else None
    yield "reference", none or str(history.reference)


def _label(history: UtteranceHistory, label: dict[str, Any]) -> Iterator[Field]:
    others = [name for name in label["utterance_ids"] if name != history.id]
    offset_s = label["offsets_s"][label["utterance_ids"].index(history.id)]
    yield "window", f"{label['window_id']}, {label['duration_s']:.2f} s, starts at {offset_s:.2f} s"
    yield "with", ", ".join(others) or "no other utterance"
    if label["previous_window_id"] is not None:
        yield "previous", label["previous_window_id"]
    yield "label", label["pseudo_text"].strip()
    signals = ("avg_logprob", "no_speech_prob", "compression_ratio", "temperature")
    values = ", ".join(f"{name} {label[name]:.3g}" for name in signals)
    yield "", f"{label['language']}, {len(label['pseudo_tokens'])} tokens, {values}"
    if label["flags"]:
        yield "flags", ", ".join(label["flags"])


def _evidence(
    history: UtteranceHistory, evidence: dict[str, Any], own: dict[str, Any]
) -> Iterator[Field]:
    chunks = [AlignmentChunk(**chunk) for chunk in history.alignment or []]
    yield "alignment", Text(" ").join(Text(str(chunk), _STYLES[chunk.kind]) for chunk in chunks)
    yield "", _rates(own)
    yield (
        "",
        (
            f"{own['words_per_s']:.1f} words/s, {own['chars_per_s']:.1f} characters/s,"
            f" a phrase {own['most_repeats']} times, compression {own['compression_ratio']:.2f}"
        ),
    )
    if len(evidence["utterance_ids"]) > 1:
        uncertain = [end for end in ("start", "end") if own[f"is_{end}_ambiguous"]]
        note = f", its {' and '.join(uncertain)} ambiguous" if uncertain else ""
        yield "tokens", f"{own['token_start']} to {own['token_end']} of the label{note}"
        yield "its window", _rates(evidence)


def _rates(evidence: dict[str, Any]) -> str:
    names = ("hits", "substitutions", "deletions", "insertions")
    counts = ", ".join(f"{name} {evidence[name]}" for name in names)
    rates = (evidence["wer_percent"], evidence["cer_percent"])
    wer, cer = ("-" if rate is None else f"{rate:.1f} %" for rate in rates)
    return f"WER {wer}, CER {cer}: {counts}"
