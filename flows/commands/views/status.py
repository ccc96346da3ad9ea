"""The view of a run's status: a row for each corpus, a column for each stage."""

import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from flows.commands.terminal.render import Command, Part, View
from flows.state.repair import again_command
from flows.state.status import StageStatus, Status
from flows.tables.figures import Figures
from flows.tables.words import hours_text, reason_lines
from storage.receipts import Failure
from tasks.stages import CORPUS_STAGES

_NUM_FAILURES: Final = 3
_NUM_REASON_CHARS: Final = 140


def status_view(status: Status, config: str) -> View:
    """How far each corpus is in each stage, why rows were rejected, and what failed.

    `config` is the path of the configuration, for the commands that repair failed shards.
    """
    return View(status, status_parts(status, config))


def status_parts(status: Status, config: str) -> Iterator[Part]:
    """The lines and the table of a status."""
    lines = [line for line in status.stages if line.stage in CORPUS_STAGES]
    models = [line for line in status.stages if line.stage not in CORPUS_STAGES]
    yield _corpora(lines)
    if models:
        stages = dict.fromkeys(line.stage for line in models)
        done = ", ".join(f"{stage} {_progress(_of(models, stage))}" for stage in stages)
        yield f"After all corpora: {done}"
    yield "Shards done/planned; ?: not planned yet; !: failed; -: not part of the run."
    if found := status.window_fills():
        fills = (f"{name} {fill:.0%}" for name, fill in found.items())
        yield f"Window fill, the share of the teacher's windows with audio: {', '.join(fills)}"
    yield from _rejected(lines, config)
    yield from _failures(status.failures, config)
    yield ""
    if all(line.shards.missing + line.shards.failed == 0 for line in status.stages):
        yield "Everything is done."
    else:
        yield Command("To continue: ", f"distillery run {shlex.quote(config)}")


def _rejected(lines: Sequence[StageStatus], config: str) -> Iterator[str]:
    by_corpus: dict[str, Counter[str]] = {}
    for line in lines:
        by_corpus.setdefault(line.corpus, Counter()).update(line.dropped)
        by_corpus[line.corpus].update(line.quarantined)
    if any(by_corpus.values()):
        yield ""
        explain = f"distillery explain {shlex.quote(config)} --reason REASON"
        yield f"Rejected rows ({explain} lists them):"
        yield from reason_lines(by_corpus)


def _failures(failures: Sequence[Failure], config: str) -> Iterator[Part]:
    if failures:
        yield ""
        yield "Failed shards:"
    for failure in failures[:_NUM_FAILURES]:
        reason = textwrap.shorten(failure.reason, _NUM_REASON_CHARS, placeholder=" …")
        yield f"failed: {failure.stage} {failure.key}: {reason}"
        yield Command("  again: ", again_command(config, failure))
    if (more := len(failures) - _NUM_FAILURES) > 0:
        yield f"and {more:,} more; --json lists all of them"


def _corpora(lines: Sequence[StageStatus]) -> Figures:
    stages = list(dict.fromkeys(line.stage for line in lines))
    corpora = dict.fromkeys(line.corpus for line in lines)
    return Figures(
        title="Status",
        columns=("corpus", *stages),
        rows=[
            (
                corpus,
                *(
                    _cell([line for line in _of(lines, stage) if line.corpus == corpus])
                    for stage in stages
                ),
            )
            for corpus in corpora
        ],
        footer=[
            ("hours", *(_hours(_of(lines, stage)) for stage in stages)),
            ("rows", *(f"{sum(line.rows_out for line in _of(lines, s)):,}" for s in stages)),
        ],
    )


def _hours(lines: Sequence[StageStatus]) -> str:
    hours = sum(line.hours for line in lines)
    return hours_text(hours) if hours else ""


def _of(lines: Sequence[StageStatus], stage: str) -> list[StageStatus]:
    return [line for line in lines if line.stage == stage]


def _cell(lines: Sequence[StageStatus]) -> Text:
    style = "red" if any(line.shards.failed for line in lines) else ""
    return Text(_progress(lines) if lines else "-", style)


def _progress(lines: Sequence[StageStatus]) -> str:
    """Such as `3/4` or, with a failed shard, `3/4 !1`."""
    done = sum(line.shards.done for line in lines)
    failed = sum(line.shards.failed for line in lines)
    planned = done + failed + sum(line.shards.missing for line in lines)
    return f"{done}/{planned or '?'}{f' !{failed}' if failed else ''}"
