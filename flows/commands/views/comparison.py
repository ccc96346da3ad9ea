"""The view of two runs side by side."""

from collections.abc import Iterator, Sequence

from configs.evaluate import STUDENT
from flows.commands.terminal.render import Part, View
from flows.state.evaluation.comparison import RunComparison
from flows.tables.figures import Figures
from flows.tables.words import change_text, ends_text, rate_text
from tasks.evaluate.findings import CHUNKED, CLEAN, SEQUENTIAL
from tasks.evaluate.statistics.comparison import RunDifference


def comparison_view(found: RunComparison) -> View:
    """A table for each model by condition and set; with noise, the means alone."""
    return View(found, _parts(found))


def _parts(found: RunComparison) -> Iterator[Part]:
    yield f"A: {found.a}"
    yield f"B: {found.b}"
    for model in sorted({one.model for one in found.rows}, key=lambda name: name != STUDENT):
        rows = [one for one in found.rows if one.model == model and _is_shown(one)]
        yield from _table(model, rows)
    yield ""
    yield "points: WER of B less that of A on the utterances that both have, paired by speaker"


def _is_shown(one: RunDifference) -> bool:
    return one.set is None or one.condition in (CLEAN, CHUNKED, SEQUENTIAL)


def _table(model: str, rows: Sequence[RunDifference]) -> Iterator[Part]:
    yield Figures(
        title=f"{model}: WER %",
        columns=(
            "set", "condition", "A", "B", "points", "95 % interval", "p", "in\nboth", "only\nin A",
            "only\nin B",
        ),
        rows=[
            (
                one.set or "mean",
                one.condition,
                rate_text(one.wer_percent_a),
                rate_text(one.wer_percent_b),
                change_text(one.difference),
                ends_text(one.interval),
                "-" if one.p_value is None else f"{one.p_value:.3f}",
                f"{one.num_utterances:,}",
                f"{one.num_only_in_a:,}",
                f"{one.num_only_in_b:,}",
            )
            for one in rows
        ],
        num_keys=2,
    )  # fmt: skip
