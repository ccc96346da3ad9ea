"""What is measured with all models in memory and nothing else running: size, speed, drafting."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from configs.evaluate import STUDENT, TEACHER
from configs.schema import RunConfig
from storage.store import Store
from tasks.evaluate.engine import load_ctc_engine, load_model
from tasks.evaluate.findings import ModelFacts, NonSpeech, SpeculativeResult, SpeedResult
from tasks.evaluate.long_form.speed import measure_long_form_speed
from tasks.evaluate.models import MeasuredModel
from tasks.evaluate.non_speech import measure_non_speech
from tasks.evaluate.result import Evaluation
from tasks.evaluate.speculative import measure_speculative
from tasks.evaluate.timed_speech import timed_sample
from tasks.evaluate.timing import measure_speed
from tasks.text.comparison import comparison_of, normaliser
from tasks.whisper.ctc import CtcEngine
from tasks.whisper.draft import shares_encoder
from tasks.whisper.engine import Engine
from tasks.whisper.engines import whisper_engine
from tasks.whisper.model import LoadedWhisper

_Loaded = Mapping[str, LoadedWhisper | CtcEngine]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trials:
    """Rows of a report that are measured on this machine."""

    models: tuple[ModelFacts, ...]
    speed: tuple[SpeedResult, ...]
    speculative: tuple[SpeculativeResult, ...]
    non_speech: tuple[NonSpeech, ...]

    def facts(self, model: str) -> ModelFacts:
        """The facts on a model that was measured."""
        return next(one for one in self.models if one.name == model)

    def timed(self, model: str) -> SpeedResult:
        """The speed of a model from waveforms to text, at the smallest batch."""
        return min(
            (one for one in self.speed if (one.model, one.part) == (model, "end_to_end")),
            key=lambda one: one.batch_size,
        )


def run_trials(config: RunConfig, store: Store, evaluation: Evaluation) -> Trials:
    """Try all models of an evaluation; raises what loading them raises."""
    settings = config.evaluate
    loaded = {one.name: _load(config, store, one) for one in evaluation.models}
    teacher, student = (_whisper(loaded, name) for name in (TEACHER, STUDENT))
    engines: dict[str, Engine] = {
        name: whisper_engine(one, config.runtime.label_batch_size)
        if isinstance(one, LoadedWhisper)
        else one
        for name, one in loaded.items()
    }
    window_samples = min(one.window_samples for one in engines.values())
    waveforms = timed_sample(evaluation.audio, store, settings.num_timed_utterances, window_samples)
    speed = measure_speed(
        loaded,
        waveforms,
        config.label,
        batch_sizes=settings.timing_batch_sizes,
        num_rounds=settings.num_timing_rounds,
    )
    long_form_speed: Iterable[SpeedResult] = ()
    if settings.long_form is not None:
        long_form_speed = measure_long_form_speed(config, store, loaded, evaluation.audio)
    speculative: tuple[SpeculativeResult, ...] = ()
    if settings.speculative:
        speculative = measure_speculative(
            teacher,
            student,
            waveforms,
            config.label,
            batch_sizes=settings.timing_batch_sizes,
            num_rounds=settings.num_timing_rounds,
        )
    normalise = normaliser(comparison_of(config.score, config.label).normaliser)
    return Trials(
        models=tuple(_facts(one, loaded[one.name], teacher) for one in evaluation.models),
        speed=tuple(chain(speed, long_form_speed)),
        speculative=speculative,
        non_speech=measure_non_speech(engines, settings.noise, config.label, normalise),
    )


def _load(config: RunConfig, store: Store, model: MeasuredModel) -> LoadedWhisper | CtcEngine:
    if model.engine == "ctc":
        return load_ctc_engine(config, store, model)
    return load_model(config, store, model)


def _whisper(loaded: _Loaded, name: str) -> LoadedWhisper:
    model = loaded[name]
    if not isinstance(model, LoadedWhisper):
        raise ValueError(f"the {name} is no Whisper")
    return model


def _facts(
    model: MeasuredModel, loaded: LoadedWhisper | CtcEngine, teacher: LoadedWhisper
) -> ModelFacts:
    parameters = list(loaded.model.parameters())
    decoder_layers: int | None = None
    has_teachers_encoder = False
    if isinstance(loaded, LoadedWhisper):
        decoder_layers = loaded.model.config.decoder_layers
        has_teachers_encoder = shares_encoder(teacher.model, loaded.model)
    return ModelFacts(
        name=model.name,
        engine=model.engine,
        identity=model.identity,
        num_parameters=sum(one.numel() for one in parameters),
        # of a Whisper the encoder's, of a CTC model all
        encoder_layers=getattr(loaded.model.config, "num_hidden_layers", None),
        decoder_layers=decoder_layers,
        shares_encoder=has_teachers_encoder,
        num_mb=sum(one.numel() * one.element_size() for one in parameters) / 1e6,
    )
