"""The sections on speed: of each model, and of the teacher with the student as its draft."""

from collections.abc import Iterator
from typing import Final

from flows.tables.figures import Figures
from flows.tables.words import speed_text
from tasks.evaluate.findings import SpeculativeResult, SpeedResult
from tasks.evaluate.result import Report
from tasks.paper.results import SPECULATIVE_SPEED

_PARTS: Final = {"end_to_end": "end to end"}


def speed_section(report: Report) -> Iterator[str | Figures]:
    """A row for each model, part and batch size."""
    if not report.speed:
        return
    has_memory = any(one.peak_mb is not None for one in report.speed)
    yield Figures(
        title="Speed, the median of all rounds",
        columns=(
            "model", "part", "batch", "seconds", "of audio\na second", "relative speed",
            *(("peak\nMB",) if has_memory else ()),
        ),
        rows=[_speed(one, has_memory) for one in report.speed],
        num_keys=3,
    )  # fmt: skip


def speculative_section(report: Report) -> Iterator[str | Figures]:
    """A row for each batch size, greedy and with fallback."""
    if report.speculative:
        yield Figures(
            title="Speculative decoding: the student drafts for the teacher",
            columns=(
                "batch", "decoding", "identical", "accepted\n%", "tokens\na round",
                "relative\nspeed", "paper's",
            ),
            rows=[_speculative(one) for one in report.speculative],
            num_keys=2,
        )  # fmt: skip


def _speed(one: SpeedResult, has_memory: bool) -> tuple[str, ...]:
    memory = "-" if one.peak_mb is None else f"{one.peak_mb:,.0f}"
    return (
        one.model,
        _PARTS.get(one.part, one.part),
        str(one.batch_size),
        f"{one.seconds:.2f}",
        f"{one.audio_s / one.seconds:,.1f}" if one.seconds else "-",
        speed_text(one.relative_speed, one.relative_speed_range),
        *((memory,) if has_memory else ()),
    )


def _speculative(one: SpeculativeResult) -> tuple[str, ...]:
    paper = None if one.fallback else SPECULATIVE_SPEED.get(one.batch_size)
    return (
        str(one.batch_size),
        "with fallback" if one.fallback else "greedy",
        f"{one.num_identical:,} of {one.num_utterances:,}",
        f"{one.acceptance_percent:.1f}" if one.tokens_per_round else "-",
        f"{one.tokens_per_round:.2f}" if one.tokens_per_round else "-",
        speed_text(one.relative_speed, one.relative_speed_range),
        "-" if paper is None else f"{paper:.1f}",
    )
