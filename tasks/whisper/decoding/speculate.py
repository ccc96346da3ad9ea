"""Speculative labelling: a small model drafts, the teacher verifies, and it must pay.

A decoder of Whisper's size is bound by reading the keys and values of the sound. Verifying several
drafted tokens reads them once for all (Leviathan et al., "Fast inference from transformers via
speculative decoding", 2023); the tokens are the teacher's own in any case.
"""

import logging
import threading
from statistics import median
from typing import Final

import torch
from torch import Tensor
from transformers import WhisperForConditionalGeneration

from storage.errors import UserError
from tasks.whisper.decoding.cache import Cache
from tasks.whisper.decoding.choice import Choice
from tasks.whisper.decoding.layers import DecoderLayers, Span
from tasks.whisper.decoding.slots import Slots
from tasks.whisper.teacher import Transcriber

NUM_DRAFTED: Final = 4
"""Tokens that a draft proposes at once: more are seldom all accepted."""

_LOG = logging.getLogger(__name__)
_WARM_UP_ROUNDS: Final = 4
_TRIAL_ROUNDS: Final = 24


class Drafter:
    """The draft's side of a batch: its own caches beside the teacher's."""

    def __init__(self, layers: DecoderLayers, cache: Cache, choice: Choice) -> None:
        self.layers, self.cache, self._choice = layers, cache, choice

    def propose(self, slots: Slots, span: Span, *, samples: bool) -> Tensor:
        """The last token of the first rows and `NUM_DRAFTED` more, int64 (rows, tokens).

        The rules and the noise are the teacher's, so that what can be the same is.
        """
        # what was drafted last and accepted has not been read by the draft itself
        fed, start = slots.last_tokens(span.num_rows, 2)
        said = fed[:, 1:]
        for _ in range(NUM_DRAFTED):
            hidden = self.layers(fed, start, self.cache, span)
            logits = self.layers.logits(hidden[:, -1:])
            drafted, _ = self._choice.next(logits, slots.before(said, samples=samples))
            start = start + fed.shape[1]
            fed = drafted
            said = torch.cat([said, drafted], dim=1)
        return said


def shares_encoder(
    teacher: WhisperForConditionalGeneration, draft: WhisperForConditionalGeneration
) -> bool:
    """Whether what the teacher's encoder makes is what the draft's would make."""
    ours, theirs = (one.model.encoder.state_dict() for one in (teacher, draft))
    return ours.keys() == theirs.keys() and all(
        ours[name].shape == theirs[name].shape and torch.equal(ours[name], theirs[name])
        for name in ours
    )


def refuse_other_language(teacher: Transcriber, draft: Transcriber) -> None:
    """Raise `UserError` where the draft's tokens or features are not the teacher's."""
    if teacher.tokenizer.get_vocab() != draft.tokenizer.get_vocab():
        found = "another tokenizer"
    elif (bands := draft.model.config.num_mel_bins) != teacher.model.config.num_mel_bins:
        found = f"{bands} mel bands, the teacher {teacher.model.config.num_mel_bins}"
    elif draft.window_samples != teacher.window_samples:
        found = f"windows of {draft.window_samples} samples, the teacher {teacher.window_samples}"
    else:
        return
    raise UserError(
        f"the draft model cannot draft for the teacher: it has {found}; take one that was made from"
        " this teacher, or set runtime.label_draft to null"
    )


class Trial:
    """Whether drafting pays, found out on the first windows: rounds with it, then without it.

    Several flights may tell of their rounds at the same time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[bool, list[float]] = {True: [], False: []}
        self._gains: dict[bool, list[float]] = {True: [], False: []}
        self._pays: bool | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to be measured."""
        return self._pays is not None

    @property
    def speculates(self) -> bool:
        """Whether the next round is one with a draft."""
        if self._pays is not None:
            return self._pays
        return len(self._gains[True]) < _WARM_UP_ROUNDS + _TRIAL_ROUNDS

    def record(self, seconds: float, tokens_per_row: float, *, speculated: bool) -> None:
        """How long a round took, and how many tokens a window gained by it."""
        with self._lock:
            self._seconds[speculated].append(seconds)
            self._gains[speculated].append(tokens_per_row)
            if self._pays is None and len(self._gains[False]) >= _WARM_UP_ROUNDS + _TRIAL_ROUNDS:
                self._decide()

    def _decide(self) -> None:
        tried = slice(_WARM_UP_ROUNDS, None)
        took_s = {which: median(self._seconds[which][tried]) for which in (True, False)}
        gains = self._gains[True][tried]
        gained = sum(gains) / len(gains)
        self._pays = gained * took_s[False] > took_s[True]
        _LOG.info(
            "speculative labelling is %s: verifying %d drafted tokens gains %.2f in %.1f ms, one"
            " token takes %.1f ms",
            "on" if self._pays else "off",
            NUM_DRAFTED,
            gained,
            1e3 * took_s[True],
            1e3 * took_s[False],
        )
