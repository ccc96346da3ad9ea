"""The command `sweep`: what each threshold keeps, as a table, JSON, Parquet or a drawing."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from pydantic import ValidationError

from configs.schema import Filter
from flows.commands.options import AsJson, Config, open_run
from flows.commands.plot import curves
from flows.commands.screen import OUT, table
from flows.state.sweep import LINES, Line, Swept, read_sweep
from storage.errors import UserError
from tasks.filter.sweep import PAPER_FILTERED_PERCENT

_PAPERS = ",".join(f"{percent:g}" for percent in PAPER_FILTERED_PERCENT)


def command(
    config: Config,
    thresholds: Annotated[
        str, typer.Option(help="Word error rates in percent, such as 5,10,20.")
    ] = _PAPERS,
    as_json: AsJson = False,
    parquet: Annotated[Path | None, typer.Option(help="Write the table there too.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw it, as .svg.")] = None,
) -> None:
    """What each threshold of the filter would keep; reads evidence only."""
    if plot is not None and plot.suffix != ".svg":
        raise UserError(f"a plot is drawn as .svg; found {plot.name}")
    percents = _percents(thresholds)
    found = read_sweep(*open_run(config), percents)
    if parquet is not None:
        _write(parquet, _parquet(found.lines))
    if plot is not None:
        _write(plot, _drawn(found.lines).encode())
    if as_json:
        value = {"lines": [line.value() for line in found.lines], "remarks": found.remarks}
        typer.echo(json.dumps(value, indent=1))
    else:
        _print(found)


def _percents(thresholds: str) -> list[float]:
    try:
        return [
            Filter.model_validate({"max_wer_percent": word}).max_wer_percent
            for word in thresholds.split(",")
        ]
    except ValidationError:
        raise UserError(
            f"thresholds are {thresholds!r}; expected percentages from 0 on, such as 5,10,20"
        ) from None


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _parquet(lines: Sequence[Line]) -> bytes:
    sink = pa.BufferOutputStream()
    rows = [line.value() for line in lines]
    pq.write_table(pa.Table.from_pylist(rows, schema=LINES), sink, compression="zstd")
    return bytes(sink.getvalue())


def _drawn(lines: Sequence[Line]) -> str:
    by_name: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        if line.kept_percent is not None:
            by_name.setdefault(line.corpus, []).append((line.max_wer_percent, line.kept_percent))
    by_name["paper"] = [(at, 100 - left) for at, left in PAPER_FILTERED_PERCENT.items()]
    return curves(by_name, "word error rate at most, %", "hours kept, %")


def _print(found: Swept) -> None:
    made = table(
        "Kept with each threshold", "corpus", "WER % at most", "windows", "dropped", "utterances",
        "dropped", "hours", "dropped", "kept %", "paper's %",
    )  # fmt: skip
    before = None
    for line in found.lines:
        pairs = zip(asdict(line.kept).values(), asdict(line.dropped).values(), strict=True)
        amounts = (value for pair in pairs for value in pair)
        made.add_row(
            "" if line.corpus == before else line.corpus,
            f"{line.max_wer_percent:g}{' *' if line.is_configured else '  '}",
            *(f"{value:.2f}" if isinstance(value, float) else str(value) for value in amounts),
            *(
                "-" if share is None else f"{share:.1f}"
                for share in (line.kept_percent, line.paper_kept_percent)
            ),
        )
        before = line.corpus
    OUT.print(made)
    OUT.print("* as configured; the paper's: table 10, of all its corpora together", markup=False)
    for remark in found.remarks:
        OUT.print(remark, markup=False, soft_wrap=True)
