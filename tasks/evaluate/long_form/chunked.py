"""Chunked transcription of long recordings: overlapping chunks, decoded together and merged.

The algorithm is that of the automatic-speech-recognition pipeline of transformers with
`chunk_length_s` and `stride_length_s`, which the paper uses (arXiv 2311.00430, section 5.2).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from configs.schema import Label
from storage.errors import UserError
from storage.outcome import Rejected
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.evaluate.long_form.merge import merge_overlapping
from tasks.evaluate.short_form import evaluation_settings
from tasks.whisper.ctc import CtcEngine
from tasks.whisper.engine import AudioWindow
from tasks.whisper.transcribe import transcribe_all
from tasks.whisper.whisper import WhisperEngine

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples from `start` to `end`; the first `left` and the last `right` overlap neighbours."""

    start: int
    end: int
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class _Part(Generic[T]):
    """The caller's metadata of a recording, and whether a chunk is its last."""

    metadata: T
    is_last: bool


def transcribe_chunked(
    engine: WhisperEngine | CtcEngine,
    recordings: Iterable[tuple[T, Samples] | Rejected],
    settings: Label,
    *,
    chunk_s: float,
    stride_s: float,
) -> Iterator[tuple[T, str] | Rejected]:
    """Transcribe recordings of any length, in their order; rejected rows pass through.

    A recording is (samples,) float32 at 16 kHz, and comes with metadata of the caller's choice,
    which is yielded with its text. Chunks of `chunk_s` seconds overlap by `stride_s` at each end.
    A Whisper decodes the chunks of several recordings together, greedily and without timestamps
    whatever the `settings`, and the tokens of neighbours are merged by their longest common
    sequence. A CTC model decodes one chunk at a time, and its frames in the overlap are dropped.
    Memory holds the recordings whose chunks are being decoded. Raises `UserError` for chunks that
    are longer than a Whisper's window or never advance, and what the engine raises.
    """
    if isinstance(engine, CtcEngine):
        return _by_frames(engine, recordings, chunk_s, stride_s)
    window_s = engine.window_samples / SAMPLE_RATE_HZ
    if chunk_s > window_s:
        raise UserError(
            f"chunk_s is {chunk_s:g}, but the model's window has {window_s:g} s; set"
            f" evaluate.long_form.chunk_s to at most {window_s:g}"
        )
    return _by_tokens(engine, recordings, settings, chunk_s, stride_s)


def chunks_of(num_samples: int, chunk_s: float, stride_s: float, align_to: int = 1) -> list[Chunk]:
    """The chunks of a recording; only the last one may be shorter than the others.

    Lengths are rounded to multiples of `align_to` samples. Raises `UserError` for chunks that never
    advance.
    """
    length, stride = (
        round(one_s * SAMPLE_RATE_HZ / align_to) * align_to for one_s in (chunk_s, stride_s)
    )
    step = length - 2 * stride
    if step < 1:
        raise UserError(
            f"chunk_s is {chunk_s:g} and stride_s {stride_s:g}, but chunks that overlap by all they"
            " have never advance; set evaluate.long_form.stride_s below half of chunk_s"
        )
    chunks: list[Chunk] = []
    for start in range(0, num_samples, step):
        end = min(start + length, num_samples)
        is_last = start + length >= num_samples
        chunks.append(Chunk(start, end, stride if start else 0, 0 if is_last else stride))
        if is_last:
            break
    return chunks


def _by_tokens(
    engine: WhisperEngine,
    recordings: Iterable[tuple[T, Samples] | Rejected],
    settings: Label,
    chunk_s: float,
    stride_s: float,
) -> Iterator[tuple[T, str] | Rejected]:
    def windows() -> Iterator[tuple[_Part[T], AudioWindow] | Rejected]:
        for number, item in enumerate(recordings):
            if isinstance(item, Rejected):
                yield item
                continue
            metadata, samples = item
            for chunk in chunks_of(len(samples), chunk_s, stride_s):
                part = _Part(metadata, chunk.end == len(samples))
                window = AudioWindow(f"{number}@{chunk.start}", samples[chunk.start : chunk.end])
                yield part, window

    tokens: list[list[int]] = []
    for item in transcribe_all(engine, windows(), evaluation_settings(settings)):
        if isinstance(item, Rejected):
            yield item
            continue
        part, transcript = item
        tokens.append(engine.text_tokens(transcript.tokens))
        if part.is_last:
            yield part.metadata, engine.text(merge_overlapping(tokens))
            tokens = []


def _by_frames(
    engine: CtcEngine,
    recordings: Iterable[tuple[T, Samples] | Rejected],
    chunk_s: float,
    stride_s: float,
) -> Iterator[tuple[T, str] | Rejected]:
    align_to = engine.samples_per_frame
    for item in recordings:
        if isinstance(item, Rejected):
            yield item
            continue
        metadata, samples = item
        symbols: list[int] = []
        for chunk in chunks_of(len(samples), chunk_s, stride_s, align_to):
            best = engine.best_symbols(samples[chunk.start : chunk.end])
            # by transformers' estimate, one frame more than convolutions without padding yield
            num_frames = round((chunk.end - chunk.start) / align_to)
            left, right = (
                round(one / (chunk.end - chunk.start) * num_frames)
                for one in (chunk.left, chunk.right)
            )
            symbols += best[left : num_frames - right]
        yield metadata, engine.text(symbols)
