"""A Whisper of transformers as a labelling engine: windows of sound in, what was heard out.

Sees to memory: how many windows are decoded at once, and that no window is lost when they were too
many. The decoding itself is elsewhere.
"""

import logging
import threading
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import torch
from torch import Tensor

from configs.schema import Label
from storage.errors import ShardError
from tasks.whisper.decoding.decoder import Decoder
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.decoding.rules import DecodingRules, decoding_rules
from tasks.whisper.decoding.speculate import Trial, refuse_other_language, shares_encoder
from tasks.whisper.engine import AudioWindow, DecodingResult, Transcriptions
from tasks.whisper.features import LogMel
from tasks.whisper.flight import ON_CPU, ON_GPU, Flight, Hypothesis
from tasks.whisper.streams import num_streams, side_by_side
from tasks.whisper.teacher import Transcriber

_LOG = logging.getLogger(__name__)

# the encoder, and a second stream of windows that are heard again, need the rest
_MEMORY_SHARE: Final = 0.45
_NUM_HEARING: Final = 2


class WhisperEngine:
    """An `Engine` over a Whisper, and with a `draft` a faster one that hears the very same.

    At most `batch_size` windows are decoded at once; on a GPU fewer if its free memory says so.
    When there is no memory after all, half as many are, from then on. Several threads may hear at
    the same time, each with memory of its own. Raises `UserError` for a draft of other tokens.
    """

    def __init__(
        self, teacher: Transcriber, batch_size: int, draft: Transcriber | None = None
    ) -> None:
        self._teacher, self._num_slots = teacher, batch_size
        model, self._device = teacher.model, teacher.model.device
        self._encoders = [model.model.encoder]
        self._layers = DecoderLayers(model)
        self._draft_layers: DecoderLayers | None = None
        self._trial: Trial | None = None
        if draft is not None:
            refuse_other_language(teacher, draft)
            self._draft_layers, self._trial = DecoderLayers(draft.model), Trial()
            if not shares_encoder(model, draft.model):
                self._encoders.append(draft.model.model.encoder)
        self._log_mel = LogMel(teacher.feature_extractor, self._device, model.dtype)
        self._idle: list[Decoder] = []
        self._lock = threading.Lock()

    @property
    def window_samples(self) -> int:
        """The length of what it hears at once, at 16 kHz."""
        return self._teacher.window_samples

    def transcribe(self, sounds: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """As in `Engine`; log-probabilities and the order may depend on the batch, tokens do not.

        In float32 that is so to the letter; in others two tokens that are equally likely within
        rounding may change places.
        """
        generation, config = self._teacher.model.generation_config, self._teacher.model.config
        rules = decoding_rules(generation, config, settings)
        source = _Source(sounds)
        while source.has_more:
            failure = yield from self._hear_some(source, rules)
            # only now nothing holds the memory of the failed attempt any more
            if failure is not None:
                self._halve(failure)

    def _hear_some(
        self, source: "_Source", rules: DecodingRules
    ) -> Generator[tuple[AudioWindow, DecodingResult], AudioWindow | None, "_NoMemory | None"]:
        """Until all is heard, or until there was no memory; what is not heard stays in `source`."""
        num_slots = self._slots_that_fit(rules)
        num_flights = num_streams(num_slots, self._device)
        slots_each = num_slots // num_flights
        # a flight that waits for the slowest has enough to go on with, and one alone never waits
        num_ahead = slots_each if num_flights > 1 else 0
        flights: list[Flight] = []
        failures: list[str] = []
        try:
            flights += (self._take_off(rules, slots_each) for _ in range(num_flights))
        except torch.OutOfMemoryError as error:
            failures = [str(error)]
        with side_by_side(num_flights) as fly:
            while not failures:
                wanted = [flight.room and max(flight.room, num_ahead) for flight in flights]
                given = list(zip(flights, source.deal(wanted), strict=True))
                if not any(sounds or flight.sounds for flight, sounds in given):
                    for flight in flights:
                        self._give_back(flight.decoder)
                    return None
                legs = fly(given, not source.has_more)
                for leg in legs:
                    for sound, answer in leg.landed:
                        again = yield sound, self._heard(answer, rules)
                        if again is not None:
                            source.put_back([again])
                failures = [leg.no_memory for leg in legs if leg.no_memory is not None]
        source.put_back([sound for flight in flights for sound in flight.sounds])
        return _NoMemory(num_slots, failures[0])

    def _take_off(self, rules: DecodingRules, num_slots: int) -> Flight:
        pace = ON_GPU if self._device.type == "cuda" else ON_CPU
        return Flight(self._borrow(rules, num_slots), self._encode, pace, self._trial)

    def _borrow(self, rules: DecodingRules, num_slots: int) -> Decoder:
        """One that is idle, for its memory and its graphs are dear, or a new one."""
        with self._lock:
            for decoder in self._idle:
                if decoder.rules == rules and decoder.num_slots <= self._num_slots:
                    self._idle.remove(decoder)
                    return decoder
            self._idle.clear()
        return Decoder(self._layers, self._draft_layers, rules, num_slots)

    def _give_back(self, decoder: Decoder) -> None:
        with self._lock:
            num_kept = _NUM_HEARING * num_streams(self._num_slots, self._device)
            if len(self._idle) < num_kept and decoder.num_slots <= self._num_slots:
                self._idle.append(decoder)

    def _slots_that_fit(self, rules: DecodingRules) -> int:
        if self._device.type != "cuda":
            return self._num_slots
        free_bytes, _ = torch.cuda.mem_get_info(self._device)
        # what torch holds and does not use is free for us
        free_bytes += torch.cuda.memory_reserved(self._device)
        free_bytes -= torch.cuda.memory_allocated(self._device)
        slot_bytes = Decoder.bytes_per_slot(self._layers, self._draft_layers, rules)
        return min(self._num_slots, max(1, int(_MEMORY_SHARE * free_bytes / slot_bytes)))

    def _halve(self, failure: "_NoMemory") -> None:
        if failure.num_slots == 1:
            raise ShardError(
                f"{self._device} has no memory for a single window: {failure.reason}; free some,"
                " set label.dtype to bfloat16, or runtime.device to cpu"
            )
        with self._lock:
            self._idle.clear()
            self._num_slots = min(self._num_slots, failure.num_slots // 2)
        _LOG.warning(
            "no memory for a batch of %d windows on %s; going on with batches of %d",
            failure.num_slots,
            self._device,
            self._num_slots,
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _encode(self, sounds: Sequence[AudioWindow]) -> Sequence[Tensor]:
        """What the teacher's decoder listens to, and the draft's: often the same."""
        features = self._log_mel([sound.samples for sound in sounds])
        outputs = [encoder(features).last_hidden_state for encoder in self._encoders]
        return outputs if self._draft_layers is None else (outputs[0], outputs[-1])

    def _heard(self, answer: Hypothesis, rules: DecodingRules) -> DecodingResult:
        tokens = answer.tokens
        has_end = tokens[-1] == rules.end_id
        num_before_end = len(tokens) - len(rules.prompt) - has_end
        # in every vocabulary of Whisper all text stands before the end token, and nothing else does
        text_ids = [token for token in tokens if token < rules.end_id]
        text = self._teacher.tokenizer.decode(text_ids, clean_up_tokenization_spaces=False)
        return DecodingResult(
            text=str(text).strip(),
            tokens=tokens,
            # the end token counts in the sum, and one more than the others in their number, as in
            # openai/whisper (whisper/decoding.py)
            avg_logprob=answer.sum_logprob / (num_before_end + 1),
            no_speech_prob=answer.no_speech_prob,
            has_end=has_end,
        )


@dataclass(frozen=True, slots=True)
class _NoMemory:
    """So many windows at once were too many."""

    num_slots: int
    reason: str


class _Source:
    """Sounds in their order, of which some may come back."""

    def __init__(self, sounds: Iterable[AudioWindow]) -> None:
        self._returned: deque[AudioWindow] = deque()
        self._fresh = iter(sounds)
        self.has_more = True

    def take(self, num_sounds: int) -> list[AudioWindow]:
        """The next, as many as that if there are."""
        taken = [self._returned.popleft() for _ in range(min(num_sounds, len(self._returned)))]
        taken += islice(self._fresh, num_sounds - len(taken))
        if len(taken) < num_sounds:
            self.has_more = False
        return taken

    def deal(self, wanted: Sequence[int]) -> list[list[AudioWindow]]:
        """The next in turns to as many takers, each as many as it wants if there are."""
        dealt: list[list[AudioWindow]] = [[] for _ in wanted]
        for number in range(max(wanted)):
            for hand, num_wanted in zip(dealt, wanted, strict=True):
                hand += self.take(int(number < num_wanted))
        return dealt

    def put_back(self, sounds: Sequence[AudioWindow]) -> None:
        """These come first again."""
        self._returned.extendleft(reversed(sounds))
        self.has_more = True
