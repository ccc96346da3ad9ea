"""The stage `distil`: the student of a published manifest."""

from collections.abc import Iterator
from typing import Final

from configs.schema import RunConfig
from tasks.stage import Parameter, Resource, Scope, Stage, settings_parameters
from tasks.whisper.identity import teacher_identity

_AUTO_VERSION: Final = 2
"""Raised when `layer_choice: auto` may choose other layers; other students stay as they are."""


def distil_parameters(config: RunConfig) -> Iterator[Parameter]:
    """What decides a student besides the manifest and the speech that selects its weights."""
    yield Parameter("teacher", teacher_identity(config.label.teacher))
    yield from settings_parameters(config.distil, exclude=frozenset({"initial_student"}))
    if config.distil.layer_choice == "auto":
        yield Parameter("auto_version", _AUTO_VERSION)
    if config.distil.initial_student is not None:
        yield Parameter("initial_student", teacher_identity(config.distil.initial_student))


DISTIL: Final = Stage(
    name="distil",
    version=2,
    scope=Scope.RUN,
    resource=Resource.DEVICE,
    inputs=("publish",),
    defaults={
        "decoder_layers": 2,
        "encoder_layers": None,
        "layer_choice": "spaced",
        "freeze_encoder": True,
        "freeze_embeddings": False,
        "freeze_positions": False,
        "kl_weight": 0.8,
        "pseudo_label_weight": 1.0,
        "hidden_state_weight": 0.0,
        "temperature": 2.0,
        "num_steps": 80000,
        "num_epochs": None,
        "batch_size": 256,
        "peak_learning_rate": 0.0001,
        "num_warmup_steps": 500,
        "weight_decay": 0.0,
        "max_gradient_norm": 1.0,
        "corpus_weights": {},
        "timestamp_probability": 0.5,
        "previous_text_probability": 0.0,
        "trains_prompt": False,
        "spec_augment": None,
        "dtype": "float32",
        "evaluate_every_steps": 5000,
        "num_validation_windows": 1000,
        "average_best": 1,
        "seed": 0,
    },
)
