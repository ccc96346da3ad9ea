"""Speculative decoding: the student drafts for the teacher, beside the teacher alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from configs.schema import Label
from tasks.audio import Samples
from tasks.evaluate.findings import SpeculativeResult
from tasks.evaluate.short_form import evaluation_settings
from tasks.evaluate.timing import alternate
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.transcribe import transcribe_all
from tasks.whisper.whisper import WhisperEngine

_ALONE, _DRAFTED = "alone", "drafted"
_MAX_WARM_UPS: Final = 12


def measure_speculative(
    teacher: LoadedWhisper,
    student: LoadedWhisper,
    waveforms: Sequence[Samples],
    settings: Label,
    *,
    batch_sizes: Sequence[int],
    num_rounds: int,
    num_drafted: int | None = None,
) -> tuple[SpeculativeResult, ...]:
    """Compare the teacher with and without drafts on `waveforms`, at each of `batch_sizes`.

    Each waveform is (samples,) float32 at 16 kHz, at most as long as the teacher's window. They are
    decoded greedily, and, if `settings.temperatures` has several, with fallback at the smallest
    batch. Both alternate, after a warm-up of the same work, repeated until the engine has found out
    how many tokens to draft (twelve times at most); with `num_drafted` it always drafts so many.
    Acceptance is that of the timed rounds; where the engine has found that drafting does not pay,
    that of the warm-up. Tokens are those of the last round. Raises `UserError` if the student
    cannot draft for the teacher, and as `transcribe_all`.
    """
    greedy = evaluation_settings(settings)
    several = greedy.model_copy(update={"temperatures": settings.temperatures})
    windows = [AudioWindow(str(index), waveform) for index, waveform in enumerate(waveforms)]
    results: list[SpeculativeResult] = []
    for batch_size in batch_sizes:
        alone = WhisperEngine(teacher, batch_size)
        with_fallback = len(several.temperatures) > 1 and batch_size == min(batch_sizes)
        for one in [greedy, several] if with_fallback else [greedy]:
            # a new one each time, since it may have found that drafting does not pay
            drafted = WhisperEngine(teacher, batch_size, student, num_drafted=num_drafted)
            results.append(_measured(alone, drafted, windows, one, batch_size, num_rounds))
    return tuple(results)


def _measured(
    alone: WhisperEngine,
    drafted: WhisperEngine,
    windows: Sequence[AudioWindow],
    settings: Label,
    batch_size: int,
    num_rounds: int,
) -> SpeculativeResult:
    tokens = {name: _Tokens() for name in (_ALONE, _DRAFTED)}
    work: dict[str, Callable[[], object]] = {
        name: partial(tokens[name].transcribe, engine, windows, settings)
        for name, engine in ((_ALONE, alone), (_DRAFTED, drafted))
    }
    before = drafted.draft_counts
    for one in work.values():
        one()
    for _ in range(_MAX_WARM_UPS - 1):
        if drafted.is_trying_draft:
            work[_DRAFTED]()
    tried = drafted.draft_counts
    rounds = alternate(work, num_rounds)
    counts = drafted.draft_counts - tried
    if not counts.num_rounds:
        counts = tried - before
    relative_speed, speed_range = rounds.relative_speed(_DRAFTED, _ALONE)
    expected, found = (tokens[name].by_id for name in (_ALONE, _DRAFTED))
    return SpeculativeResult(
        batch_size=batch_size,
        fallback=len(settings.temperatures) > 1,
        num_utterances=len(windows),
        num_identical=sum(expected[one.id] == found[one.id] for one in windows),
        acceptance_percent=counts.acceptance_percent,
        tokens_per_round=counts.tokens_per_round,
        drafted_per_round=counts.drafted_per_round,
        relative_speed=relative_speed,
        relative_speed_range=speed_range,
    )


@dataclass(slots=True)
class _Tokens:
    """The tokens of each window, as transcribed last."""

    by_id: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def transcribe(
        self, engine: WhisperEngine, windows: Sequence[AudioWindow], settings: Label
    ) -> None:
        self.by_id = tokens_of(engine, windows, settings)


def tokens_of(
    engine: Engine, windows: Sequence[AudioWindow], settings: Label
) -> dict[str, tuple[int, ...]]:
    """The tokens of each window by its id; decodes, and raises, as `transcribe_all`."""
    stream = ((window.id, window) for window in windows)
    done = transcribe_all(engine, stream, settings)
    return {one[0]: one[1].tokens for one in done if isinstance(one, tuple)}
