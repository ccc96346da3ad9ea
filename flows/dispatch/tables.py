"""The tables that the UI shows for a run, from the same values as `distillery status`."""

from collections.abc import Iterable, Sequence
from typing import Any

from configs.grid import short_name
from flows.state.grid.report import GridReport, PaperComparison
from flows.state.repair import Failed, again_command
from flows.state.status import StageStatus, Status
from tasks.evaluate.result import Report
from tasks.text.display import markdown

Row = dict[str, Any]


def status_rows(lines: Sequence[StageStatus]) -> list[Row]:
    """A row for each stage, corpus and split."""
    return [
        {
            "stage": line.stage,
            "corpus": line.corpus,
            "split": line.split,
            "done": line.shards.done,
            "missing": line.shards.missing,
            "failed": line.shards.failed,
            "rows in": line.rows_in + line.created,
            "rows out": line.rows_out,
            "left out": sum(line.dropped.values()) + sum(line.quarantined.values()),
            "hours": round(line.hours, 3),
        }
        for line in lines
    ]


def hours_rows(status: Status) -> list[Row]:
    """A row for each corpus: its hours after each stage."""
    return [
        {"corpus": corpus, **{stage: round(value, 3) for stage, value in found.items()}}
        for corpus, found in status.hours().items()
    ]


def reason_rows(status: Status) -> list[Row]:
    """A row for each corpus, stage and reason for rejected rows, the most frequent first."""
    return [
        {"corpus": corpus, "stage": stage, "outcome": outcome, "reason": reason, "rows": num_rows}
        for corpus, stage, outcome, reason, num_rows in status.rejected()
    ]


def failure_rows(config: str, failures: Iterable[Failed]) -> list[Row]:
    """A row for each shard that failed, with the command that repairs it."""
    return [
        {
            "stage": failure.stage,
            "shard": str(failure.key),
            "again": again_command(config, failure),
            "reason": failure.reason,
        }
        for failure in failures
    ]


def grid_rows(report: GridReport) -> list[Row]:
    """A row for each run of a grid: its settings, its data, and the WER of its student."""
    return [
        {
            **({"run": row.label} if row.label else {}),
            **{short_name(setting): row.values[setting] for setting in report.settings},
            **({"seed": row.seed} if report.has_seeds else {}),
            "to do": row.pending or "nothing",
            "hours kept": _rounded(row.hours),
            "updates": row.num_steps,
            "mean WER %": _rounded(row.wer_percent),
            **{
                f"{corpus} WER %": _rounded(row.wer_percent_by_corpus.get(corpus))
                for corpus in report.teacher_wer_percent_by_corpus
            },
            "configuration": row.config,
        }
        for row in report.rows
    ]


def paper_rows(table: PaperComparison) -> list[Row]:
    """A row for each row of a table of the paper, beside the mean WER of the grid's runs."""
    return [
        {
            table.setting: line.setting,
            **line.more,
            "in domain": line.in_domain,
            "out of domain": line.out_of_domain,
            "average": line.average,
            "here": _rounded(line.here),
        }
        for line in table.lines
    ]


def claim_rows(report: Report) -> list[Row]:
    """A row for each claim of the paper, and whether it holds."""
    return [
        {
            "claim": one.claim,
            "source": one.source,
            "paper": one.paper,
            "here": one.ours,
            "verdict": one.verdict.replace("_", " "),
            "why": one.reason,
        }
        for one in report.claims
    ]


def markdown_table(rows: Sequence[Row]) -> str:
    """Rows of the same columns as a table in Markdown."""
    names = list(rows[0]) if rows else []
    lines = [names, ["---"] * len(names)]
    lines += [[markdown(str(cell)) for cell in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rounded(value: float | None) -> float | str:
    return "-" if value is None else round(value, 2)
