"""The command `explain`: a story in lines, its alignment in colour; or all rows of one reason."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from flows.commands.options import AsJson, Config, open_run
from flows.commands.screen import OUT
from flows.state.rejections import print_rejections, read_rejections
from flows.state.utterance_history import Story, read_story
from storage.errors import UserError
from tasks.score.alignment import AlignmentChunk

_STYLES: Final = {"hit": "", "substitution": "yellow", "deletion": "red", "insertion": "green"}
_OUTCOME_STYLES: Final = {"kept": "bold green", "dropped": "bold red", "quarantined": "bold red"}


def command(
    config: Config,
    id: Annotated[
        str | None, typer.Argument(help="Of an utterance or of a window; or give --reason.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Instead: list what was left out for it, such as wer.")
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="With --reason: of one corpus.")] = None,
    limit: Annotated[int, typer.Option(help="With --reason: so many rows at most.")] = 20,
    split: Annotated[
        str | None, typer.Option(help="Where several splits have the id: corpus/split.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """One utterance's whole story, from its source to the decision; or all of one reason."""
    if (id is None) == (reason is None):
        raise UserError("give the id of an utterance, or --reason with one that `status` counts")
    if reason is not None:
        rows = list(read_rejections(*open_run(config), reason, corpus))
        if as_json:
            typer.echo(json.dumps([row.model_dump() for row in rows], indent=1))
        else:
            print_rejections(rows, limit)
        return
    found = read_story(*open_run(config), str(id), split)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
        return
    for name, words in _lines(found):
        OUT.print(Text.assemble((f"{name:<11}", "bold"), words), soft_wrap=True)


def _lines(story: Story) -> Iterator[tuple[str, Text | str]]:
    yield "id", story.id
    yield "shard", story.shard or f"{story.corpus}/{story.split}, not planned"
    if story.source is not None:
        yield "source", _source(story.source)
    if story.utterance is not None:
        yield from _utterance(story, story.utterance)
    if story.label is not None:
        yield from _label(story, story.label)
    if story.evidence is not None and story.own_evidence is not None:
        yield from _evidence(story, story.evidence, story.own_evidence)
    decision = story.decision
    told = f"{decision.outcome} at {decision.stage}"
    told += f": {decision.reason}" if decision.reason else ""
    told += f" ({decision.detail})" if decision.detail else ""
    yield "decision", Text(told, _OUTCOME_STYLES.get(decision.outcome, "bold"))


def _source(source: dict[str, Any]) -> str:
    value = f", {source['column']} of row {source['row']}" if source["column"] else ""
    end = "the end" if source["end_s"] is None else f"{source['end_s']:.2f} s"
    return (
        f"{source['file']}, {source['size']} bytes from {source['offset']}{value},"
        f" channel {source['channel']}, {source['start_s']:.2f} s to {end}"
    )


def _utterance(story: Story, utterance: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "recording", utterance["recording_id"]
    yield "speaker", utterance["speaker_id"] or "unknown"
    if "duration_s" in utterance:
        yield "audio", f"{utterance['duration_s']:.2f} s"
    yield "raw text", utterance["raw_text"]
    yield "reference", f"none: {story.no_reference}" if story.no_reference else str(story.reference)


def _label(story: Story, label: dict[str, Any]) -> Iterator[tuple[str, str]]:
    others = [name for name in label["utterance_ids"] if name != story.id]
    at_s = label["offsets_s"][label["utterance_ids"].index(story.id)]
    yield "window", f"{label['window_id']}, {label['duration_s']:.2f} s, this from {at_s:.2f} s on"
    yield "with", ", ".join(others) or "no other utterance"
    if label["previous_window_id"] is not None:
        yield "before", label["previous_window_id"]
    yield "label", label["pseudo_text"].strip()
    signals = ("avg_logprob", "no_speech_prob", "compression_ratio", "temperature")
    told = ", ".join(f"{name} {label[name]:.3g}" for name in signals)
    yield "", f"{label['language']}, {len(label['pseudo_tokens'])} tokens, {told}"
    if label["flags"]:
        yield "flags", ", ".join(label["flags"])


def _evidence(
    story: Story, evidence: dict[str, Any], own: dict[str, Any]
) -> Iterator[tuple[str, Text | str]]:
    stretches = [AlignmentChunk(**one) for one in story.alignment or []]
    words = [Text(str(one), _STYLES[one.kind]) for one in stretches]
    yield "compared", Text(" ").join(words)
    yield "", _rates(own)
    yield (
        "",
        (
            f"{own['words_per_s']:.1f} words/s, {own['chars_per_s']:.1f} characters/s,"
            f" a phrase {own['most_repeats']} times, compression {own['compression_ratio']:.2f}"
        ),
    )
    if len(evidence["utterance_ids"]) > 1:
        doubts = [end for end in ("start", "end") if own[f"is_{end}_ambiguous"]]
        doubtful = f", its {' and '.join(doubts)} in doubt" if doubts else ""
        yield "tokens", f"{own['token_start']} to {own['token_end']} of the label{doubtful}"
        yield "its window", _rates(evidence)


def _rates(evidence: dict[str, Any]) -> str:
    names = ("hits", "substitutions", "deletions", "insertions")
    counts = ", ".join(f"{name} {evidence[name]}" for name in names)
    rates = (evidence["wer_percent"], evidence["cer_percent"])
    wer, cer = ("-" if rate is None else f"{rate:.1f} %" for rate in rates)
    return f"WER {wer}, CER {cer}: {counts}"
