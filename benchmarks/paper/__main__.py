"""Run the paper in small, and write docs/results.md with its pictures.

    python -m benchmarks.paper [--page-only]

`make paper SPEECH=DIR` puts speech and weights where the configuration looks for them. Every step
is done once; after a kill it goes on where it was.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.paper.effects import (
    Effects,
    effects_of,
    effects_table,
    hours_sentence,
    points_by_hours,
)
from benchmarks.paper.identity import (
    Found,
    encoder_sentences,
    read_identity,
    same_encoders,
    token_sentence,
)
from benchmarks.paper.packing import packing_effect, packing_sentences
from benchmarks.paper.page import (
    PICTURES,
    Page,
    claims_table,
    grid_part,
    headline,
    hours_chart,
    intro,
    steps_table,
)
from benchmarks.paper.steps import (
    ABLATIONS,
    CONFIG,
    HOURS,
    SEEDS,
    STEPS,
    TRIALS,
    read_timings,
    run_steps,
)
from benchmarks.paper.students import read_students
from configs.grid_runs import load_grid
from configs.load import load_config
from configs.schema import RunConfig
from flows.report.data import data_sections
from flows.report.facts import Facts
from flows.report.models import model_sections
from flows.state.grid.reading import read_grid
from flows.state.grid.report import GridReport
from storage.store import Store
from tasks.evaluate.statistics.comparison import RunDifference

_PAGE: Final = Path("docs/results.md")
_FROM_DATA: Final = ("hours", "rejected", "thresholds")
_FROM_MODELS: Final = ("training", "evaluation", "long-form", "noise", "hallucination", "speed",
                       "speculative")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that was found so far."""

    students: Mapping[str, Facts]
    encoders: Mapping[str, bool]
    identity: Found | None
    seeds: GridReport
    hours: GridReport
    ablations: GridReport
    effects: Effects
    packing: Sequence[RunDifference]
    trials: Mapping[str, GridReport]


def main() -> None:
    """Run the steps, then write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--page-only", action="store_true", help="write what there is so far")
    options = parser.parse_args()
    config = load_config(CONFIG)
    timings = Path(config.root) / "timings.json"
    if not options.page_only:
        run_steps(timings)
    page = results_page(read_results(config))
    page.add("## Time", "Minutes by the clock, other work on the machine included:")
    page.table(("step", "command", "minutes"), steps_table(STEPS, read_timings(timings)))
    for path in write_page(page, _PAGE):
        sys.stdout.write(f"{path}\n")


def read_results(config: RunConfig) -> Results:
    """What the runs of the experiment have found, from their records."""
    store = Store(config.root, config.runtime.scratch)
    students = read_students(store)
    ablations = read_grid(load_grid(ABLATIONS), store, mends=False)
    return Results(
        students=students,
        encoders=same_encoders(config, store, students),
        identity=read_identity(config, students),
        seeds=read_grid(load_grid(SEEDS), store, mends=False),
        hours=read_grid(load_grid(HOURS), store, mends=False),
        ablations=ablations,
        effects=effects_of(load_grid(ABLATIONS), ablations, store),
        packing=packing_effect(config.root),
        trials={path: read_grid(load_grid(path), store, mends=False) for path in TRIALS},
    )


def results_page(results: Results) -> Page:
    """Everything but the time it took."""
    students = results.students
    first = next(iter(students.values()))
    page = Page()
    page.add("# The paper in small")
    page.add(*intro(first))
    page.add("## Models", "Word error rates in percent, with 95 % intervals over speakers.")
    page.table(*headline(students, results.seeds))
    if claims := {name: one.report.claims for name, one in students.items() if one.report}:
        page.add("## The paper's claims")
        page.table(*claims_table(claims))
    rows = results.identity["rows"] if results.identity else ()
    page.bullets([*encoder_sentences(results.encoders), *map(token_sentence, rows)])
    page.add("## Data")
    for section in data_sections(first):
        if section.id in _FROM_DATA:
            page.section(section)
        if section.id == _FROM_DATA[-1]:
            break  # what follows reads audio
    page.add("## Seeds")
    grid_part(page, results.seeds)
    page.add("## Hours, two layers")
    grid_part(page, results.hours)
    hours_part(page, results.hours, "two layers")
    page.add("## Ablations, four layers")
    grid_part(page, results.ablations)
    if results.effects:
        page.add("Points of WER above the first run, paired by speaker, with 95 % intervals:")
        page.table(*effects_table(results.effects))
    hours_part(page, results.ablations, "four layers")
    for sentence in packing_sentences(results.packing):
        page.add(sentence)
    page.add(
        "## Trials", "Settings for small runs were chosen by these grids, on validation speech."
    )
    for path, trial in results.trials.items():
        page.add(f"`distillery grid {path}`:")
        grid_part(page, trial)
    for name, facts in students.items():
        page.add(f"## {name.capitalize()}")
        for section in model_sections(facts):
            if section.id in _FROM_MODELS:
                page.section(section, f"{section.title}, {name}")
    return page


def hours_part(page: Page, grid: GridReport, of: str) -> None:
    """Add error rates by hours of the runs that differ in these alone, for each corpus."""
    for corpus, points in points_by_hours(grid).items():
        teacher = grid.teacher_wer_percent_by_corpus.get(corpus)
        page.picture(f"word error rate by hours, {of}, {corpus}", hours_chart(points, teacher))
        page.add(hours_sentence(points, teacher))


def write_page(page: Page, path: Path) -> Sequence[Path]:
    """Write a page and its pictures, and remove pictures that it had before; returns the files."""
    folder = path.parent / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        if old.name not in page.pictures:
            old.unlink()
    written = [path]
    for name, svg in page.pictures.items():
        (folder / name).write_text(svg)
        written.append(folder / name)
    path.write_text("\n".join(page.lines).rstrip() + "\n")
    return written


if __name__ == "__main__":
    main()
