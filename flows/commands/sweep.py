"""The command `sweep`: what each threshold keeps, as a table, JSON, Parquet or a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from pydantic import ValidationError

from configs.schema import Filter
from flows.commands.options import AsJson, Config, open_run
from flows.commands.terminal.render import show
from flows.commands.views.sweep import sweep_view
from flows.state.sweep import SCHEMA, SweepLine, read_sweep
from storage.errors import UserError
from tasks.paper.settings import PAPER_FILTERED_PERCENT
from tasks.text.plot.lines import line_chart

_PAPERS = ",".join(f"{percent:g}" for percent in PAPER_FILTERED_PERCENT)


def command(
    config: Config,
    thresholds: Annotated[
        str, typer.Option(help="Word error rates in percent, such as 5,10,20.")
    ] = _PAPERS,
    as_json: AsJson = False,
    parquet: Annotated[Path | None, typer.Option(help="Also write the table to a file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw it, as .svg.")] = None,
) -> None:
    """Show what each threshold of the filter would keep; nothing is labelled or scored."""
    if plot is not None and plot.suffix != ".svg":
        raise UserError(f"--plot must name an .svg file; found {plot.name}")
    percents = _percents(thresholds)
    sweep = read_sweep(*open_run(config), percents)
    if parquet is not None:
        _write(parquet, _parquet(sweep.lines))
    if plot is not None:
        _write(plot, _plot(sweep.lines).encode())
    show(sweep_view(sweep), as_json=as_json)


def _percents(thresholds: str) -> list[float]:
    try:
        return [
            Filter.model_validate({"max_wer_percent": word}).max_wer_percent
            for word in thresholds.split(",")
        ]
    except ValidationError:
        raise UserError(
            f"thresholds are {thresholds!r}; expected percentages of at least 0, such as 5,10,20"
        ) from None


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _parquet(lines: Sequence[SweepLine]) -> bytes:
    sink = pa.BufferOutputStream()
    rows = [line.value() for line in lines]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), sink, compression="zstd")
    return bytes(sink.getvalue())


def _plot(lines: Sequence[SweepLine]) -> str:
    by_name: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        if line.kept_percent is not None:
            by_name.setdefault(line.corpus, []).append((line.max_wer_percent, line.kept_percent))
    by_name["paper"] = [
        (percent, 100 - filtered) for percent, filtered in PAPER_FILTERED_PERCENT.items()
    ]
    return line_chart(by_name, "word error rate at most, %", "hours kept, %")
