"""The labelling engine over a Whisper of transformers: audio windows in, decoding results out.

Manages memory: how many windows are decoded at once, and recovery when they were too many. The
decoding itself is in `tasks.whisper.decoding`.
"""

import logging
import threading
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import torch

from configs.schema import Label
from storage.errors import ShardError
from tasks.audio import Samples
from tasks.whisper.decoding.acceptance import DraftCounts
from tasks.whisper.decoding.decoder import Decoder
from tasks.whisper.decoding.draft_length import DraftController
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.decoding.rules import DecodingRules, decoding_rules
from tasks.whisper.decoding.slots import Hypothesis
from tasks.whisper.decoding.speculation import draft_dtype
from tasks.whisper.draft import require_compatible_draft, shares_encoder
from tasks.whisper.encoding.cache import OutputCache
from tasks.whisper.encoding.features import LogMel
from tasks.whisper.encoding.windows import WindowEncoder
from tasks.whisper.engine import AudioWindow, DecodingResult, Transcriptions
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.parallel import num_schedulers, parallel_schedulers
from tasks.whisper.result import decoding_result, text_of, text_tokens
from tasks.whisper.scheduler import CPU_SCHEDULE, GPU_SCHEDULE, BatchScheduler, QueuedWindow
from tasks.whisper.tokens import SpecialTokens

_LOG = logging.getLogger(__name__)

# the rest is for the encoder, and for a second decoder that retries windows
_MEMORY_FRACTION: Final = 0.45
_MAX_CONCURRENT_CALLS: Final = 2


class WhisperEngine:
    """An `Engine` over a Whisper; a `draft` makes it faster without changing its tokens.

    At most `batch_size` windows are decoded at once; on a GPU fewer if its free memory requires it.
    After an out-of-memory error the batch is halved for good. Several threads may transcribe at the
    same time, each with memory of its own. An `encoder_cache` has exact outputs of the encoder on
    the CPU. The draft is used as far as it is measured to be faster, or always drafts `num_drafted`
    tokens. Raises `UserError` for a draft that does not fit.
    """

    def __init__(
        self,
        teacher: LoadedWhisper,
        batch_size: int,
        draft: LoadedWhisper | None = None,
        *,
        encoder_cache: OutputCache | None = None,
        num_drafted: int | None = None,
    ) -> None:
        self._teacher, self._num_slots = teacher, batch_size
        model, self._device = teacher.model, teacher.model.device
        self._layers = DecoderLayers(model)
        self._draft_layers: DecoderLayers | None = None
        self._drafts: DraftController | None = None
        if draft is not None:
            require_compatible_draft(teacher, draft)
            dtype = draft_dtype(model.dtype, self._device)
            self._draft_layers = DecoderLayers(draft.model, dtype)
            self._drafts = DraftController(num_drafted)
        self._log_mel = LogMel(teacher.feature_extractor, self._device, model.dtype)
        self._encode = WindowEncoder(self._log_mel, model.model.encoder, encoder_cache)
        self._encode_draft: WindowEncoder | None = None
        if draft is not None and not shares_encoder(model, draft.model):
            self._encode_draft = WindowEncoder(self._log_mel, draft.model.model.encoder)
        self._idle_decoders: list[Decoder] = []
        self._lock = threading.Lock()

    @property
    def window_samples(self) -> int:
        """The longest window it accepts, in samples at 16 kHz."""
        return self._teacher.window_samples

    def log_mel_peak(self, recording: Samples) -> float:
        """The `peak` of the excerpts of a recording, (samples,) float32 at 16 kHz of any length."""
        return self._log_mel.peak(recording)

    def text_tokens(self, tokens: Sequence[int]) -> list[int]:
        """The tokens without timestamps and other special ones."""
        return text_tokens(tokens, SpecialTokens.of(self._teacher.tokenizer).end_id)

    def text(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without timestamps and other special ones."""
        return text_of(self.text_tokens(tokens), self._teacher.tokenizer)

    @property
    def draft_counts(self) -> DraftCounts:
        """What the draft has drafted so far; nothing without one."""
        return self._drafts.counts if self._drafts is not None else DraftCounts()

    @property
    def is_trying_draft(self) -> bool:
        """Whether it is still measuring how many tokens are best drafted."""
        return self._drafts is not None and self._drafts.is_open

    def transcribe(self, windows: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """See `Engine`; log-probabilities and order may depend on the batch, tokens do not.

        In float32 that is exact; in lower precision two tokens whose probabilities are equal within
        rounding may be exchanged.
        """
        return self.decode((QueuedWindow(window) for window in windows), settings)

    def encode(self, windows: Sequence[AudioWindow]) -> list[QueuedWindow]:
        """Windows with their encoder output, kept on the device, for `decode`."""
        return [QueuedWindow(window, self._encode([window])[0]) for window in windows]

    def decode(self, windows: Iterable[QueuedWindow], settings: Label) -> Transcriptions:
        """As `transcribe`, of windows whose encoder output may be known."""
        generation, config = self._teacher.model.generation_config, self._teacher.model.config
        rules = decoding_rules(generation, config, settings)
        queue = _WindowQueue(windows)
        if self._drafts is not None:
            self._drafts.renew()
        while queue.has_more:
            failure = yield from self._transcribe_until_failure(queue, rules, settings)
            # only here has the memory of the failed attempt been released
            if failure is not None:
                self._halve_batch(failure)

    def _transcribe_until_failure(
        self, queue: "_WindowQueue", rules: DecodingRules, settings: Label
    ) -> Generator[tuple[AudioWindow, DecodingResult], AudioWindow | None, "_OutOfMemory | None"]:
        """Run until the queue is empty or memory runs out; unfinished windows return to it."""
        num_slots = self._num_slots_that_fit(rules)
        count = num_schedulers(num_slots, self._device)
        slots_each = num_slots // count
        # a scheduler that waits for the slowest needs windows in reserve; a single one never waits
        num_reserved = slots_each if count > 1 else 0
        # only a window that may be decoded again is worth the memory of its encoder output
        keep_encoded = len(settings.temperatures) > 1
        schedulers: list[BatchScheduler] = []
        failures: list[str] = []
        try:
            schedulers += (
                self._new_scheduler(rules, slots_each, keep_encoded=keep_encoded)
                for _ in range(count)
            )
        except torch.OutOfMemoryError as error:
            failures = [str(error)]
        with parallel_schedulers(count) as advance_all:
            while not failures:
                wanted = [
                    one.num_wanted and max(one.num_wanted, num_reserved) for one in schedulers
                ]
                assigned = list(zip(schedulers, queue.deal(wanted), strict=True))
                if not any(windows or one.unfinished for one, windows in assigned):
                    for one in schedulers:
                        self._release_decoder(one.decoder)
                    return None
                results = advance_all(assigned, not queue.has_more)
                for progress in results:
                    for queued, hypothesis in progress.ended:
                        window = queued.window
                        again = yield window, self._result(window, hypothesis, rules)
                        if again is not None:
                            same_audio = (
                                again.samples is window.samples
                                and again.covered.seek == window.covered.seek
                            )
                            queue.put_back(
                                [QueuedWindow(again, queued.encoded if same_audio else None)]
                            )
                failures = [one.out_of_memory for one in results if one.out_of_memory is not None]
        queue.put_back([QueuedWindow(window) for one in schedulers for window in one.unfinished])
        return _OutOfMemory(num_slots, failures[0])

    def _new_scheduler(
        self, rules: DecodingRules, num_slots: int, *, keep_encoded: bool
    ) -> BatchScheduler:
        schedule = GPU_SCHEDULE if self._device.type == "cuda" else CPU_SCHEDULE
        decoder = self._acquire_decoder(rules, num_slots)
        return BatchScheduler(
            decoder,
            self._encode,
            schedule,
            self._drafts,
            keep_encoded=keep_encoded,
            encode_draft=self._encode_draft,
        )

    def _acquire_decoder(self, rules: DecodingRules, num_slots: int) -> Decoder:
        """Reuse an idle decoder, since its memory and CUDA graphs are expensive, or create one."""
        with self._lock:
            for decoder in self._idle_decoders:
                if decoder.rules == rules and decoder.num_slots <= self._num_slots:
                    self._idle_decoders.remove(decoder)
                    return decoder
            self._idle_decoders.clear()
        return Decoder(self._layers, self._draft_layers, rules, num_slots)

    def _release_decoder(self, decoder: Decoder) -> None:
        with self._lock:
            max_idle = _MAX_CONCURRENT_CALLS * num_schedulers(self._num_slots, self._device)
            if len(self._idle_decoders) < max_idle and decoder.num_slots <= self._num_slots:
                self._idle_decoders.append(decoder)

    def _num_slots_that_fit(self, rules: DecodingRules) -> int:
        if self._device.type != "cuda":
            return self._num_slots
        free_bytes, _ = torch.cuda.mem_get_info(self._device)
        # memory that torch has reserved but does not use is available as well
        free_bytes += torch.cuda.memory_reserved(self._device)
        free_bytes -= torch.cuda.memory_allocated(self._device)
        slot_bytes = Decoder.bytes_per_slot(self._layers, self._draft_layers, rules)
        return min(self._num_slots, max(1, int(_MEMORY_FRACTION * free_bytes / slot_bytes)))

    def _halve_batch(self, failure: "_OutOfMemory") -> None:
        if failure.num_slots == 1:
            raise ShardError(
                f"{self._device} has no memory for a single window: {failure.message}; free some,"
                " set label.dtype to bfloat16, or runtime.device to cpu"
            )
        with self._lock:
            self._idle_decoders.clear()
            self._num_slots = min(self._num_slots, failure.num_slots // 2)
        _LOG.warning(
            "out of memory with a batch of %d windows on %s; continuing with batches of %d",
            failure.num_slots,
            self._device,
            self._num_slots,
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _result(
        self, window: AudioWindow, hypothesis: Hypothesis, rules: DecodingRules
    ) -> DecodingResult:
        new_tokens = hypothesis.tokens[len(rules.prompt) :]
        has_end = new_tokens[-1] == rules.end_id
        return decoding_result(
            window,
            new_tokens[:-1] if has_end else new_tokens,
            rules,
            self._teacher.tokenizer,
            sum_logprob=hypothesis.sum_logprob,
            no_speech_prob=hypothesis.no_speech_prob,
            has_end=has_end,
        )


@dataclass(frozen=True, slots=True)
class _OutOfMemory:
    """A batch of `num_slots` windows did not fit; `message` is torch's."""

    num_slots: int
    message: str


class _WindowQueue:
    """Windows in stream order; windows that are put back come first."""

    def __init__(self, windows: Iterable[QueuedWindow]) -> None:
        self._returned: deque[QueuedWindow] = deque()
        self._stream = iter(windows)
        self.has_more = True

    def take(self, num_windows: int) -> list[QueuedWindow]:
        """The next `num_windows` windows, fewer at the end."""
        taken = [self._returned.popleft() for _ in range(min(num_windows, len(self._returned)))]
        taken += islice(self._stream, num_windows - len(taken))
        if len(taken) < num_windows:
            self.has_more = False
        return taken

    def deal(self, wanted: Sequence[int]) -> list[list[QueuedWindow]]:
        """Deal the next windows round-robin; each receiver gets at most the number it wants."""
        dealt: list[list[QueuedWindow]] = [[] for _ in wanted]
        for number in range(max(wanted)):
            for hand, num_wanted in zip(dealt, wanted, strict=True):
                hand += self.take(int(number < num_wanted))
        return dealt

    def put_back(self, windows: Sequence[QueuedWindow]) -> None:
        """Return windows to the head of the queue."""
        self._returned.extendleft(reversed(windows))
        self.has_more = True
