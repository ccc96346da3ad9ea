"""Speed of several models on the same machine and the same speech, in rounds that alternate."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Final

import torch

from configs.evaluate import TEACHER
from configs.schema import Label
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.evaluate.findings import Interval, SpeedResult, TimedPart
from tasks.evaluate.short_form import evaluation_settings
from tasks.whisper.draft import encodes_alike
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.scheduler import QueuedWindow
from tasks.whisper.transcribe import transcribe_all
from tasks.whisper.whisper import WhisperEngine

_MIN_WARM_UP: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Rounds:
    """Seconds of each round, by the name of what was timed; all are about the same work."""

    seconds: Mapping[str, tuple[float, ...]]

    def median_s(self, name: str) -> float:
        """The median round."""
        return median(self.seconds[name])

    def relative_speed(self, name: str, baseline: str) -> tuple[float, Interval]:
        """Speed relative to a baseline: the median of the ratios by round, and their range."""
        pairs = zip(self.seconds[baseline], self.seconds[name], strict=True)
        ratios = [slow_s / fast_s for slow_s, fast_s in pairs]
        return median(ratios), (min(ratios), max(ratios))


def alternate(work: Mapping[str, Callable[[], object]], num_rounds: int) -> Rounds:
    """Time each piece of work once a round, the first of a round being another each time.

    A slowdown of the machine thus affects all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    names = list(work)
    for number in range(num_rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            started_s = perf_counter()
            work[name]()
            seconds[name].append(perf_counter() - started_s)
    return Rounds(seconds={name: tuple(of_name) for name, of_name in seconds.items()})


def measure_speed(
    models: Mapping[str, LoadedWhisper | Engine],
    waveforms: Sequence[Samples],
    settings: Label,
    *,
    batch_sizes: Sequence[int],
    num_rounds: int,
    baseline: str = TEACHER,
) -> tuple[SpeedResult, ...]:
    """Time models on the same `waveforms`, greedily, at each of `batch_sizes`.

    Each waveform is (samples,) float32 at 16 kHz, at most as long as the windows of all models. A
    Whisper is timed from waveforms to text, features included, and from encoder output that was
    computed before (`decoder`); another engine, whose batches are its own business, from waveforms
    to text. The models alternate; an untimed warm-up precedes. `baseline` names the model that
    speed is relative to. Raises as `transcribe_all`.
    """
    settings = evaluation_settings(settings)
    windows = [AudioWindow(str(index), waveform) for index, waveform in enumerate(waveforms)]
    encoded = _encoded(models, windows)
    results: list[SpeedResult] = []
    for batch_size in batch_sizes:
        engines = {
            name: WhisperEngine(model, batch_size) if isinstance(model, LoadedWhisper) else model
            for name, model in models.items()
        }
        num_warm_up = max(_MIN_WARM_UP, 2 * batch_size)
        peak_mb = {
            name: _peak_mb(models[name], _Transcribing(one, windows[:num_warm_up], settings))
            for name, one in engines.items()
        }
        work = {name: _Transcribing(one, windows, settings) for name, one in engines.items()}
        rounds = alternate(work, num_rounds)
        results += speed_results(
            rounds,
            "end_to_end",
            waveforms,
            batch_size=batch_size,
            baseline=baseline,
            peak_mb=peak_mb,
        )
        decoders = {
            name: _Decoding(one, encoded[name], settings)
            for name, one in engines.items()
            if isinstance(one, WhisperEngine) and name in encoded
        }
        if baseline in decoders:
            rounds = alternate(decoders, num_rounds)
            results += speed_results(
                rounds, "decoder", waveforms, batch_size=batch_size, baseline=baseline
            )
    return tuple(results)


def _encoded(
    models: Mapping[str, LoadedWhisper | Engine], windows: Sequence[AudioWindow]
) -> dict[str, list[QueuedWindow]]:
    """The encoder output of each Whisper, by its name; the same for models with equal encoders."""
    found: dict[str, list[QueuedWindow]] = {}
    for name, model in models.items():
        if not isinstance(model, LoadedWhisper):
            continue
        for other in found:
            known = models[other]
            if isinstance(known, LoadedWhisper) and encodes_alike(model, known):
                found[name] = found[other]
                break
        else:
            found[name] = WhisperEngine(model, 1).encode(windows)
    return found


def speed_results(
    rounds: Rounds,
    part: TimedPart,
    waveforms: Sequence[Samples],
    *,
    batch_size: int,
    baseline: str = TEACHER,
    peak_mb: Mapping[str, float | None] | None = None,
) -> list[SpeedResult]:
    """The rows of a report for rounds of models by name, in which `waveforms` were transcribed."""
    results: list[SpeedResult] = []
    for name, seconds in rounds.seconds.items():
        relative_speed, speed_range = rounds.relative_speed(name, baseline)
        results.append(
            SpeedResult(
                model=name,
                part=part,
                batch_size=batch_size,
                num_utterances=len(waveforms),
                audio_s=sum(map(len, waveforms)) / SAMPLE_RATE_HZ,
                seconds=rounds.median_s(name),
                fastest_s=min(seconds),
                slowest_s=max(seconds),
                relative_speed=relative_speed,
                relative_speed_range=speed_range,
                peak_mb=(peak_mb or {}).get(name),
            )
        )
    return results


def _peak_mb(model: LoadedWhisper | Engine, work: Callable[[], object]) -> float | None:
    """The GPU memory of a Whisper and its work, without that of other models; None elsewhere."""
    if not isinstance(model, LoadedWhisper) or model.model.device.type != "cuda":
        work()
        return None
    device = model.model.device
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    weights = sum(one.numel() * one.element_size() for one in model.model.parameters())
    return (torch.cuda.max_memory_allocated(device) - before + weights) / 1e6


@dataclass(frozen=True, slots=True)
class _Transcribing:
    """From waveforms to text. Results are on the host, so no device work is pending at the end."""

    engine: Engine
    windows: Sequence[AudioWindow]
    settings: Label

    def __call__(self) -> None:
        windows = ((None, window) for window in self.windows)
        deque(transcribe_all(self.engine, windows, self.settings), maxlen=0)


@dataclass(frozen=True, slots=True)
class _Decoding:
    """From encoder output, which is known and on the device, to text."""

    engine: WhisperEngine
    windows: Sequence[QueuedWindow]
    settings: Label

    def __call__(self) -> None:
        deque(self.engine.decode(self.windows, self.settings), maxlen=0)
