"""Runs the contenders of `benchmarks.label` in alternation."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter

from benchmarks.label.audio import read_speech
from benchmarks.label.contender import Contender, Job, Labelled, Packing, Prepared, prepared
from benchmarks.label.draft import DraftTrial
from benchmarks.label.encoder import EncoderAlone, encoder_alone
from benchmarks.label.field import Field, default_threads, load_field
from benchmarks.label.floor import Floor, Work, counted, measured
from benchmarks.label.mlperf import LIBRISPEECH_FILLED
from benchmarks.label.models import DEMO, Models, folder_models
from benchmarks.label.random_weights import RANDOM_WINDOW_S, random_models
from benchmarks.label.speech import CORPORA, Speech, write_speech
from configs.schema import Label, Teacher
from tasks.audio import SAMPLE_RATE_HZ

_NUM_TAUGHT = 192  # windows on which random weights are fitted to end
_FILLED = 0.9  # the share of a window that packing fills
_WARM_UP_WINDOWS = 4


@dataclass
class Times:
    """Seconds of each round."""

    end_to_end_s: list[float] = field(default_factory=list)
    in_memory_s: list[float] = field(default_factory=list)


@dataclass
class Results:
    """Everything measured, by the name of a contender; lists have a value for each round."""

    speech: Speech
    models: Models
    windows: dict[Packing, list[Prepared]]
    contenders: Field
    encoder: EncoderAlone
    trial: DraftTrial
    times: dict[str, Times] = field(default_factory=dict)
    labelled: dict[str, Labelled] = field(default_factory=dict)
    encoder_s: list[float] = field(default_factory=list)
    products: list[Floor] = field(default_factory=list)


def measure(options: argparse.Namespace, folder: Path) -> Results:
    """Run all contenders, alternating."""
    models, speech = _inputs(options, folder)
    window_samples = models.teacher.window_samples
    windows: dict[Packing, list[Prepared]] = {
        "speaker": prepared(speech, window_samples, "speaker")
    }
    if options.unpacked:
        windows["none"] = prepared(speech, window_samples, "none")
    packed = windows["speaker"]
    # the teacher is loaded already
    settings = Label(teacher=Teacher(path=DEMO), temperatures=(0.0,))
    job = Job(
        speech=speech,
        settings=settings,
        folder=folder,
        num_threads=default_threads(),
        end_id=models.teacher.model.generation_config.eos_token_id,
    )
    trial = DraftTrial()
    contenders = load_field(options, models, settings, folder, packed)
    results = Results(
        speech,
        models,
        windows,
        contenders,
        encoder_alone(models.teacher, packed, contenders.encoders),
        trial,
    )
    for contender in contenders.contenders:
        results.times[contender.name] = Times()
        job.in_memory(contender, windows[contender.packing][:_WARM_UP_WINDOWS])
    for number in range(options.rounds):
        turn = number % max(1, len(contenders.contenders))
        for contender in contenders.contenders[turn:] + contenders.contenders[:turn]:
            _run(options, job, contender, results)
        results.encoder_s.append(results.encoder.seconds())
        if options.teacher is None:
            results.products.append(_products(options, results))
    return results


def _run(options: argparse.Namespace, job: Job, contender: Contender, results: Results) -> None:
    times = results.times[contender.name]
    windows = results.windows[contender.packing]
    seconds, results.labelled[contender.name] = _timed(partial(job.end_to_end, contender))
    times.end_to_end_s.append(seconds)
    if options.in_memory:
        seconds, _ = _timed(partial(job.in_memory, contender, windows))
        times.in_memory_s.append(seconds)


def _timed(work: Callable[[], Labelled]) -> tuple[float, Labelled]:
    """Results are on the host, so no device work is pending at the end."""
    started_s = perf_counter()
    labelled = work()
    return perf_counter() - started_s, labelled


def _inputs(options: argparse.Namespace, folder: Path) -> tuple[Models, Speech]:
    """The weights of a folder and speech for their window, or noise and weights fitted to it."""
    path = folder / "speech.parquet"
    if options.geometry == "demo":
        name = str(options.teacher or DEMO)
        models = folder_models(name, options.dtypes, options.device, options.draft)
        window_s = models.teacher.window_samples / SAMPLE_RATE_HZ
        audio_s = options.windows * window_s * _FILLED
        if options.audio is not None:
            return models, read_speech(path, options.audio, audio_s, window_s)
        return models, write_speech(path, audio_s, window_s, spoken=True)
    audio_s = (
        options.windows * RANDOM_WINDOW_S * (LIBRISPEECH_FILLED if options.mlperf else _FILLED)
    )
    corpora = ("librispeech",) if options.mlperf else tuple(CORPORA)
    speech = write_speech(path, audio_s, RANDOM_WINDOW_S, spoken=False, corpora=corpora)
    return _random_models(options, speech), speech


def _random_models(options: argparse.Namespace, speech: Speech) -> Models:
    taught: list[Prepared] = []
    for packing in ("none", "speaker"):
        found = prepared(speech, round(RANDOM_WINDOW_S * SAMPLE_RATE_HZ), packing)
        taught += found[:: max(1, len(found) * 2 // _NUM_TAUGHT)]
    return random_models(
        options.geometry,
        options.dtypes[0],
        options.device,
        [one.audio.samples for one in taught],
        [sum(speech.num_tokens[u.id] for u in one.window.utterances) for one in taught],
        options.agreement,
    )


def _products(options: argparse.Namespace, results: Results) -> Floor:
    """The matrix products, as many as the engine needs."""
    model = results.models.teacher.model
    num_windows = len(results.windows["speaker"])
    work = Work(
        config=model.config,
        num_windows=num_windows,
        num_tokens=max(one.num_tokens for one in results.labelled.values()),
        num_rows=min(options.batch_size, num_windows),
    )
    if options.device == "cpu":
        return measured(work, model.dtype, model.device)
    return counted(work, model.dtype.itemsize)
