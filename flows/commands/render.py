"""The tables that a person reads: what a run did, where it stands, what was published."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.markup import escape

from configs.schema import RunConfig
from flows.commands.screen import OUT, complain, table
from flows.state.corpus_state import CorpusState
from flows.state.keep_rate import remarks
from flows.state.models import find_report
from flows.state.publication import find_current
from flows.state.rerun import command_again
from flows.state.status import Status, read_status
from storage.difference import Difference
from storage.errors import DistilleryError, UserError
from storage.manifest import Manifest
from storage.store import Store
from tasks.evaluate.result import Report

if TYPE_CHECKING:
    from tasks.run import ShardFailed

_CAUSE_WORDS: Final = ("kind", "before", "after", "corpora")
_MANY_CORPORA: Final = 3


def print_summary(settings: RunConfig, store: Store, states: Sequence[CorpusState]) -> None:
    """What came of a run: its manifest by corpus, then teacher and student."""
    published = find_current(settings, store, states)
    if published is None:
        print_status(read_status(settings, store, states))
    else:
        print_manifest(published)
    for remark in remarks(settings, store, states):
        OUT.print(remark, markup=False, soft_wrap=True)
    if published is None:
        return
    report = find_report(settings, store, states, published)
    if report is not None:
        print_report(report)
        where = f"{settings.root}/{report.student_folder}"
        OUT.print(f"The student is in {where}", markup=False, soft_wrap=True)


def current_report(settings: RunConfig, store: Store, states: Sequence[CorpusState]) -> Report:
    """The report on the manifest of the shards as they are; raises `UserError` without one."""
    report = find_report(settings, store, states, find_current(settings, store, states))
    if report is None:
        raise UserError("nothing is evaluated yet; `distillery run` does that")
    return report


def print_status(status: Status) -> None:
    """A line for each stage, corpus and split, then every failure with its mending command."""
    made = table(
        "Status",
        "stage",
        "corpus/split",
        "done",
        "missing",
        "failed",
        "in",
        "out",
        "hours",
        "left out",
        words=("corpus/split", "left out"),
    )
    stage = ""
    for line in status.stages:
        made.add_row(
            line.stage if line.stage != stage else "",
            f"{line.corpus}/{line.split}",
            str(line.shards.done),
            str(line.shards.missing or ""),
            f"[red]{line.shards.failed}[/red]" if line.shards.failed else "",
            str(line.rows_in + line.created),
            str(line.rows_out),
            f"{line.hours:.2f}",
            _reasons({**line.dropped, **line.quarantined}),
        )
        stage = line.stage
    OUT.print(made)
    for failure in status.failures:
        OUT.print(f"failed: {failure.stage} {failure.key}: {failure.reason}", markup=False)


def print_manifest(published: Manifest) -> None:
    """The totals of a manifest by corpus."""
    made = table(
        f"Manifest {published.name} {published.number}  {published.digest[:16]}",
        "corpus",
        "shards",
        "hours",
        "windows",
        "kept",
        "hours kept",
        "dropped",
        "quarantined",
        words=("dropped", "quarantined"),
    )
    for corpus, totals in published.totals.items():
        made.add_row(
            corpus,
            str(totals.shards),
            f"{totals.hours_heard:.2f}",
            str(totals.windows_heard),
            str(totals.windows),
            f"{totals.hours:.2f}",
            _reasons(totals.dropped),
            _reasons(totals.quarantined),
            end_section=corpus == list(published.totals)[-2],
        )
    OUT.print(made)


def print_manifests(found: Sequence[Manifest]) -> None:
    """A line for each manifest."""
    made = table("Manifests", "name", "number", "published", "shards", "hours", "digest")
    for one in found:
        totals = one.totals["all"]
        made.add_row(
            one.name,
            str(one.number),
            one.published_at,
            str(totals.shards),
            f"{totals.hours:.2f}",
            one.digest[:16],
        )
    OUT.print(made)


def print_difference(found: Difference) -> None:
    """What came and went by split, then why, then what else is left out than before."""
    _print_amounts(found)
    causes = table("Why", "what", "kind", "before", "after", "corpora", words=_CAUSE_WORDS)
    for cause in found.causes:
        values = ("-" if value is None else str(value) for value in (cause.before, cause.after))
        causes.add_row(escape(cause.what), cause.kind, *map(escape, values), _names(cause.corpora))
    if not found.causes:
        causes.add_row("nothing that decides a result is another")
    OUT.print(causes)
    if found.left_out:
        made = table(
            "Left out, rows more or less than before", "corpus", "reasons", words=["reasons"]
        )
        for corpus, deltas in found.left_out.items():
            made.add_row(corpus, ", ".join(f"{name} {delta:+}" for name, delta in deltas.items()))
        OUT.print(made)
    OUT.print(
        f"{len(found.only_before)} shards went, {len(found.only_after)} came and"
        f" {len(found.changed)} have other files; --json lists them",
        markup=False,
    )


def _print_amounts(found: Difference) -> None:
    title = f"Manifest {found.name} {found.before} \N{RIGHTWARDS ARROW} {found.after}"
    figures = ("hours", "went", "came", "hours now", "rows", "went", "came", "rows now")
    made = table(title, "corpus/split", *figures)
    for line in found.splits:
        parts = (line.before, line.went, line.came, line.after)
        made.add_row(
            f"{line.corpus}/{line.split}",
            *(f"{part.hours:.2f}" for part in parts),
            *(str(part.utterances) for part in parts),
        )
    OUT.print(made)


def print_report(report: Report) -> None:
    """Teacher and student side by side."""
    made = table("Evaluation on held-out speech", "", "teacher", "student")
    pair = (report.teacher, report.student)
    made.add_row("parameters", *(f"{one.num_parameters:,}" for one in pair))
    made.add_row("decoder layers", *(str(one.decoder_layers) for one in pair))
    made.add_row("WER %", *(_percent(one.wer_percent) for one in pair))
    for corpus, rates in report.by_corpus.items():
        made.add_row(f"  {corpus}", *(_percent(rates[name]) for name in ("teacher", "student")))
    made.add_row("insertions %", *(_percent(one.insertion_percent) for one in pair))
    made.add_row("repeated 5-grams", *(str(one.num_repeated_5grams) for one in pair))
    made.add_row("seconds", *(f"{one.seconds or 0:.2f}" for one in pair))
    made.add_row("relative speed", "1.00", f"{report.relative_speed:.2f}")
    OUT.print(made)


def print_failures(error: DistilleryError, config: Path) -> bool:
    """Each shard that failed, with the command that makes it again; whether there were any."""
    failures: Sequence[ShardFailed] = getattr(error, "failures", ())
    for failure in failures:
        complain(f"failed: {failure}")
        complain(f"  again: {command_again(config, failure.stage, failure.key)}")
    if failures and (consequence := getattr(error, "consequence", None)):
        complain(consequence)
    return bool(failures)


def _names(corpora: Sequence[str]) -> str:
    shown = ", ".join(corpora[:_MANY_CORPORA])
    more = len(corpora) - _MANY_CORPORA
    return f"{shown} and {more} more" if more > 0 else shown


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in counts.items())


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
