"""The settings of distillation: the student, its loss and its training."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from configs.settings import Count, Fraction, Name, Positive, Settings
from configs.stages import Teacher

DEFAULT_WEIGHT: Final = 1.0
"""How often the windows of a corpus are seen that `corpus_weights` does not name."""

Layers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
"""Indices of layers, rising."""


class SpecAugment(Settings):
    """Masks over the features of teacher and student alike (arXiv 1904.08779).

    Defaults are those of its policy LD.
    """

    num_time_masks: Annotated[int, Field(ge=0)] = 2
    """Spans of time to mask."""
    max_time_frames: Count = 100
    """Longest span, in frames of 10 ms."""
    num_frequency_masks: Annotated[int, Field(ge=0)] = 2
    """Bands of frequency to mask."""
    max_frequency_bins: Count = 27
    """Widest band, in mel bins."""


class Distil(Settings):
    """The student and its training. Defaults are those of Distil-Whisper (arXiv 2311.00430).

    Section 4.1 and Table 15 of the paper. The loss is
    `kl_weight` x KL divergence + `pseudo_label_weight` x cross-entropy
    + `hidden_state_weight` x distance of hidden states.
    """

    decoder_layers: Count | Layers = 2
    """Decoder layers of the student: how many, or which of the teacher's, such as `[0, 31]`."""
    encoder_layers: Count | Layers | None = None
    """Encoder layers, in the same way; null: all. Fewer need `freeze_encoder: false`."""
    layer_choice: Literal["spaced", "auto"] = "spaced"
    """Which decoder layers a number means. `spaced`: maximally spaced ones, as published.

    `auto`: the first, the last, and of those between the ones with which the output is closest to
    the teacher's before training, by the KL divergence on 32 windows. Of more than 500 subsets,
    layers are left out one by one instead.
    """
    initial_student: Teacher | None = None
    """A student to go on from, such as that of another run; null: copy the teacher's layers."""
    freeze_encoder: bool = True
    """Train the decoder alone; the encoder is the teacher's."""
    freeze_embeddings: bool = False
    """Keep the token embeddings, which are also the output projection."""
    freeze_positions: bool = False
    """Keep the position embeddings of the decoder."""
    kl_weight: Annotated[float, Field(ge=0)] = 0.8
    """Weight of the KL divergence between the teacher's and the student's distributions.

    0: pseudo-labels alone, as large-v3-turbo was trained; the teacher's decoder does not run then.
    """
    pseudo_label_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the cross-entropy on the teacher's labels."""
    hidden_state_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the squared distance between the decoders' hidden states, as in Table 21.

    Each layer of the student is compared with the teacher's layer it stands for: 15 and 31 for two
    of 32. 0: nothing is computed for it.
    """
    temperature: Positive = 2.0
    """Softmax temperature of both models in the KL divergence."""
    num_steps: Count = 80_000
    """Number of updates."""
    num_epochs: Positive | None = None
    """How often each window is seen, in place of `num_steps`."""
    batch_size: Count = 256
    """Windows per update."""
    peak_learning_rate: Positive = 1e-4
    """Learning rate of AdamW after warm-up; it falls linearly to 0 at the end."""
    num_warmup_steps: Annotated[int, Field(ge=0)] = 500
    """Updates over which the learning rate rises linearly."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay of AdamW; biases and layer norms are exempt."""
    max_gradient_norm: Positive = 1.0
    """Norm to which gradients are clipped."""
    corpus_weights: dict[Name, Positive] = Field(default_factory=dict)
    """How often the windows of a corpus are seen, such as `{librispeech: 2.0}`; others: 1.

    In an epoch a window is seen so many times on average. To do without a corpus, leave it out of
    `corpora`; the labels of the others are kept.
    """
    timestamp_probability: Fraction = 0.5
    """How often a label that has timestamps keeps them."""
    previous_text_probability: Fraction = 0.0
    """How often the previous label of the speaker is given as a prompt, which is not trained on."""
    trains_prompt: bool = False
    """Have a loss on the task and no-timestamps tokens too, as the published collator has."""
    spec_augment: SpecAugment | None = None
    """Mask parts of the audio, others in each epoch; null: no augmentation, as in the paper."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of activations; the student's weights are float32."""
    evaluate_every_steps: Count = 5_000
    """Updates between validations and checkpoints; the best weights are kept."""
    num_validation_windows: Count | None = 1_000
    """Windows to validate on, over all validation splits together; null: all of them.

    Each split is a set of its own with an equal share; of one that is larger, utterances of as many
    speakers as possible are chosen at random. A long utterance counts as several windows.
    """
    average_best: Count = 1
    """How many of the best validated weights are averaged; 1: the best are taken alone.

    The mean is validated too, and taken only if its score is better than that of the best alone.
    """
    seed: int = 0
    """Decides the order of the examples and the random choices above."""

    def weighted(self, by_corpus: Mapping[str, float]) -> float:
        """The sum of an amount over corpora, each times its weight: what is seen in an epoch."""
        weights = self.corpus_weights
        return sum(weights.get(name, DEFAULT_WEIGHT) * one for name, one in by_corpus.items())

    def steps_for(self, num_windows: float) -> int:
        """The number of updates of a training with so many windows in an epoch."""
        if self.num_epochs is None:
            return self.num_steps
        exact = self.num_epochs * num_windows / self.batch_size
        return max(1, math.ceil(round(exact, 6)))  # without the rounding error of weights

    @field_validator("corpus_weights")
    @classmethod
    def _weights_of_1_are_left_out(cls, weights: dict[str, float]) -> dict[str, float]:
        """So that stating the default is the same training as leaving it out."""
        return {name: weight for name, weight in weights.items() if weight != DEFAULT_WEIGHT}

    @field_validator("decoder_layers", "encoder_layers")
    @classmethod
    def _layers_rise(cls, layers: int | tuple[int, ...] | None) -> int | tuple[int, ...] | None:
        if isinstance(layers, tuple) and any(low >= high for low, high in pairwise(layers)):
            raise ValueError(f"layers are {list(layers)}, expected rising indices such as [0, 31]")
        return layers

    @model_validator(mode="after")
    def _nothing_is_defined_twice(self) -> Self:
        given = [
            name
            for name in ("decoder_layers", "encoder_layers", "layer_choice")
            if name in self.model_fields_set
        ]
        if self.initial_student is not None and given:
            raise ValueError(
                f"initial_student is given, which has its own layers; leave out {', '.join(given)}"
            )
        if self.num_epochs is not None and "num_steps" in self.model_fields_set:
            raise ValueError(
                f"num_steps is {self.num_steps} and num_epochs {self.num_epochs:g}; give one of"
                " the two"
            )
        if self.layer_choice == "auto" and isinstance(self.decoder_layers, tuple):
            raise ValueError(
                f"layer_choice is auto and decoder_layers names {list(self.decoder_layers)};"
                " give the number of layers instead"
            )
        if self.encoder_layers is not None and self.freeze_encoder:
            raise ValueError(
                "a student with encoder_layers of its own has to learn to encode;"
                " set freeze_encoder: false"
            )
        return self
