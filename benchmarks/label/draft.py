"""How good a draft is: by its tokens, and by what the engine measures."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.label.contender import Labelled, Prepared
from benchmarks.label.models import DEMO
from configs.schema import Label, Teacher
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.model import LoadedWhisper, log_mel


@dataclass(eq=False)
class DraftTrial(logging.Handler):
    """Captures the engine's log records about its draft."""

    records: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.INFO)
        logger = logging.getLogger("tasks.whisper.decoding.draft_length")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the arguments of the message."""
        if isinstance(record.args, tuple):
            self.records.append(record.args)

    def figures(self) -> dict[str, Any]:
        """The figures at the most windows together, measured last; empty if there are none.

        `acceptance` is the share of drafted tokens that were accepted.
        """
        if not self.records:
            return {}
        num_windows, state, speed, num_drafted, gained, verified_ms, plain_ms = max(
            reversed(self.records), key=lambda args: int(args[0])
        )
        return {
            "windows": int(num_windows),
            "speculation": state,
            "speed": float(speed),
            "drafted": int(num_drafted),
            "acceptance": (float(gained) - 1) / int(num_drafted),
            "tokens_per_verification": float(gained),
            "verification_ms": float(verified_ms),
            "plain_step_ms": float(plain_ms),
        }


@torch.inference_mode()
def agreement(draft: LoadedWhisper, windows: Sequence[Prepared], labelled: Labelled) -> float:
    """The share of tokens that the draft predicts after the teacher's own tokens before them."""
    model: Any = draft.model
    settings = Label(teacher=Teacher(path=DEMO))
    rules = decoding_rules(model.generation_config, model.config, settings)
    prompt = rules.prompt
    num_agreed = num_tokens = 0
    for window in windows:
        tokens = torch.tensor(labelled.tokens[window.audio.id], device=model.device)
        inputs = torch.cat([tokens.new_tensor(prompt), tokens[:-1]])
        logits = model(
            log_mel(draft, [window.audio.samples]), decoder_input_ids=inputs[None]
        ).logits
        logits = logits[0, len(prompt) - 1 :]
        logits[:, list(rules.suppressed_ids)] = -torch.inf
        logits[0, list(rules.suppressed_first_ids)] = -torch.inf
        predicted = logits.argmax(dim=-1)
        num_agreed += int((predicted == tokens).sum())
        num_tokens += len(tokens)
    return num_agreed / num_tokens
