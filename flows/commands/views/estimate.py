"""The view of what a run would do."""

from collections.abc import Iterator, Sequence
from typing import Final

from flows.commands.terminal.render import Part, View
from flows.state.estimate import LABEL_SPEED, WINDOWS_PER_S, Estimate, total
from flows.tables.figures import Figures
from flows.tables.words import hours_text
from tasks.distil.outlook import Outlook
from tasks.stages import SHARD_STAGES

_LEGEND: Final = (
    "hours: training speech to be labelled; windows: the teacher's inputs, each one utterance or"
    " several.",
    "held out: validation and test speech, only normalised.",
    "~: estimated from the hours, since no size is published; +: a listing will add more files.",
    f"GPU hours at {WINDOWS_PER_S:.0f} windows a second (large-v2, one A100). Nothing was run.",
)


def estimate_view(estimates: Sequence[Estimate], training: Outlook) -> View:
    """What each corpus takes, how many shards each stage has to process, and the training."""
    value = {"corpora": estimates, "total": total(estimates), "training": training}
    return View(value, [*_estimate_parts(estimates), f"Training, before the filter: {training}"])


def _estimate_parts(estimates: Sequence[Estimate]) -> Iterator[Part]:
    together = total(estimates)
    yield Figures(
        title="What a run would process",
        columns=(
            "corpus", "hours", "windows", "shards", "files\nto get", "TB\nto get",
            "TB\nto keep", "GPU\nhours",
        ),
        rows=[_amounts(one) for one in estimates],
        footer=[_amounts(together)],
    )  # fmt: skip
    to_do = together.shards_to_do
    stages = [stage for stage in SHARD_STAGES if stage != "index" or to_do[stage]]
    yield Figures(
        title="Where the hours are from, hours held out, and shards to do",
        columns=("corpus", "hours", "held\nout", *stages),
        rows=[
            (
                one.corpus,
                one.basis,
                hours_text(one.held_out_hours),
                *(f"{one.shards_to_do[stage]:,}" for stage in stages),
            )
            for one in estimates
        ],
        footer=[
            (
                together.corpus,
                "",
                hours_text(together.held_out_hours),
                *(f"{to_do[stage]:,}" for stage in stages),
            )
        ],
        num_keys=2,
    )
    yield from _paper(estimates)
    yield from _LEGEND


def _paper(estimates: Sequence[Estimate]) -> Iterator[str]:
    published = [one for one in estimates if one.paper_hours and one.basis == "published"]
    if published:
        hours = total(published).paper_hours or 0.0
        by_corpus = ", ".join(f"{one.corpus} {one.paper_hours:,.0f}" for one in published)
        yield (
            f"Hours used in the paper: {by_corpus}; {hours:,.0f} in all, which would take"
            f" {hours / LABEL_SPEED:,.0f} GPU hours in single utterances."
        )


def _amounts(one: Estimate) -> Sequence[str]:
    return (
        one.corpus,
        hours_text(one.hours),
        _count_text(one.windows),
        f"{one.shards:,}",
        f"{one.files_to_download:,}{'+' if one.has_unlisted_files else ''}",
        f"{'~' if one.is_size_estimated else ''}{one.terabytes_to_download:.3f}",
        f"{one.terabytes_to_keep:.3f}",
        hours_text(one.gpu_hours),
    )


def _count_text(count: int) -> str:
    """A count, in thousands if it is large.

    >>> _count_text(9_999), _count_text(767_320)
    ('9,999', '767k')
    """
    return f"{count:,}" if count < 10_000 else f"{count / 1000:,.0f}k"
