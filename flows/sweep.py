"""What each threshold would keep of a run, from its evidence: nothing is labelled or scored."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from pydantic import ValidationError

from configs.schema import Filter, RunConfig
from flows.chain import chains
from flows.content import training_links
from flows.options import AsJson, Config, open_run
from flows.plot import curves
from flows.screen import OUT, table
from storage.errors import UserError
from storage.receipt import FileRef
from storage.store import Store
from tasks.filter.sweep import PAPER_FILTERED_PERCENT, Amount, columns_asked, sweep

_NUM_READERS: Final = 4
_ENOUGH_CORPORA: Final = 3
_ALL: Final = "all"
_PAPERS: Final = ",".join(f"{percent:g}" for percent in PAPER_FILTERED_PERCENT)

_LINES: Final = pa.schema(
    [
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("max_wer_percent", pa.float64(), nullable=False),
        *(
            pa.field(f"{side}_{name}", kind, nullable=False)
            for side in ("kept", "dropped")
            for name, kind in [
                ("windows", pa.int64()), ("utterances", pa.int64()), ("hours", pa.float64()),
            ]
        ),
        pa.field("kept_percent", pa.float64()),  # of hours; null: none were heard
        pa.field("paper_kept_percent", pa.float64()),  # null: not in the paper's table
        pa.field("is_configured", pa.bool_(), nullable=False),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """What one threshold keeps and drops of a corpus, or of `all`."""

    corpus: str
    max_wer_percent: float
    kept: Amount
    dropped: Amount
    is_configured: bool

    @property
    def kept_percent(self) -> float | None:
        """Of the hours heard; None without any."""
        hours = self.kept.hours + self.dropped.hours
        return 100 * self.kept.hours / hours if hours else None

    @property
    def paper_kept_percent(self) -> float | None:
        """What the paper kept of all its corpora with this threshold, where it says so."""
        filtered = PAPER_FILTERED_PERCENT.get(self.max_wer_percent)
        return None if filtered is None else round(100 - filtered, 1)

    def value(self) -> dict[str, Any]:
        """A row of the Parquet file, and an object of the JSON."""
        return {
            "corpus": self.corpus,
            "max_wer_percent": self.max_wer_percent,
            **{f"kept_{name}": value for name, value in asdict(self.kept).items()},
            **{f"dropped_{name}": value for name, value in asdict(self.dropped).items()},
            "kept_percent": self.kept_percent,
            "paper_kept_percent": self.paper_kept_percent,
            "is_configured": self.is_configured,
        }


@dataclass(frozen=True)
class Swept:
    """Lines by corpus, those of `all` last; shards whose evidence is still to come."""

    lines: list[Line]
    waiting: list[str]

    @property
    def remarks(self) -> list[str]:
        """What a person should know about these figures."""
        found = _abnormal([line for line in self.lines if line.is_configured])
        if self.waiting:
            found.append(
                f"{len(self.waiting)} shards have no evidence yet and are not counted:"
                f" {', '.join(self.waiting[:3])}{' …' if len(self.waiting) > 3 else ''}"
            )
        return found


def read_sweep(config: RunConfig, store: Store, thresholds: Sequence[float]) -> Swept:
    """What `config` would publish with each threshold and with its own, by its evidence so far.

    Raises `UserError` where there is no evidence at all.
    """
    by_chain = training_links(chains(config, store))
    own = config.filter.max_wer_percent
    asked = sorted({*thresholds, own})
    amounts: dict[str, tuple[Amount, list[Amount]]] = {}
    waiting: list[str] = []
    for chain, links in by_chain.items():
        files = [link.receipts["score"].output for link in links if "score" in link.receipts]
        waiting += [str(link.key) for link in links if "score" not in link.receipts]
        waiting += chain.unready("train")
        if links:
            amounts[chain.corpus.name] = swept_files(store, files, config.filter, asked)
    if not any(heard.windows for heard, _ in amounts.values()):
        raise UserError("nothing is scored yet; `distillery run CONFIG --until score` does that")
    amounts[_ALL] = _summed(list(amounts.values()), len(asked))
    lines = [
        Line(corpus, percent, kept, heard - kept, percent == own)
        for corpus, (heard, by_threshold) in amounts.items()
        for percent, kept in zip(asked, by_threshold, strict=True)
    ]
    return Swept(lines, waiting)


def swept_files(
    store: Store, files: Sequence[FileRef], settings: Filter, thresholds: Sequence[float]
) -> tuple[Amount, list[Amount]]:
    """All of the evidence in `files`, and what is kept of it with each threshold."""
    columns = columns_asked(settings)

    def one(file: FileRef) -> tuple[Amount, list[Amount]]:
        # nothing is made from what is read here, so it is not hashed
        with store.fetch(file, verify=False) as path:
            return sweep(pq.read_table(path, columns=columns), settings, thresholds)

    with ThreadPoolExecutor(_NUM_READERS) as readers:
        return _summed(list(readers.map(one, files)), len(thresholds))


def _summed(
    parts: Sequence[tuple[Amount, list[Amount]]], num_thresholds: int
) -> tuple[Amount, list[Amount]]:
    heard = reduce(add, (heard for heard, _ in parts), Amount())
    kept = [
        reduce(add, (kept[place] for _, kept in parts), Amount()) for place in range(num_thresholds)
    ]
    return heard, kept


def _abnormal(lines: Sequence[Line]) -> list[str]:
    """A line for each corpus that keeps less than half or more than twice of what is usual.

    Usual is the median share of the run's corpora where it has three or more, else the paper's
    share at that threshold, between those of its table on a straight line.
    """
    shares = {
        line.corpus: line.kept_percent
        for line in lines
        if line.corpus != _ALL and line.kept_percent is not None
    }
    if len(shares) >= _ENOUGH_CORPORA:
        usual, of_whom = median(shares.values()), "the median of the run's corpora"
    else:
        percents, lost = list(PAPER_FILTERED_PERCENT), list(PAPER_FILTERED_PERCENT.values())
        filtered = np.interp(lines[0].max_wer_percent, percents, lost)
        usual, of_whom = 100 - float(filtered), "the paper's share"
    return [
        f"abnormal: {corpus} keeps {share:.1f} % of its hours at {lines[0].max_wer_percent:g} %,"
        f" {'less than half of' if share < usual else 'more than twice'} {of_whom},"
        f" {usual:.1f} %"
        for corpus, share in shares.items()
        if share < usual / 2 or share > 2 * usual
    ]


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
    pq.write_table(pa.Table.from_pylist(rows, schema=_LINES), sink, compression="zstd")
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
