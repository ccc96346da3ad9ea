"""Encoder for Shorten streams of version 2, the lossless compression inside SPHERE files.

A stream is a sequence of Rice-coded numbers: a header, then for each block of each channel the
residuals of a polynomial predictor. Each block uses the predictor (DIFF0 to DIFF3) and code width
with the shortest result; a block of zeros is ZERO. Low bits that are 0 in all samples of a 16-bit
file are shifted out. The predictor QLPC and shifts of mu-law are not used.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]

BLOCK_FRAMES = 256
_CHUNK_FRAMES = 256 * BLOCK_FRAMES  # processed at a time
_HIGHEST_WIDTH = 18  # for the third difference of 16-bit samples
_WORD_BYTES = 4  # decoders read whole words


class SampleType(IntEnum):
    """The sample format before compression, as stated in the stream."""

    PCM16_BIG_ENDIAN = 3
    PCM16_LITTLE_ENDIAN = 5
    MU_LAW = 8


class _Command(IntEnum):
    QUIT = 4
    BLOCKSIZE = 5
    BITSHIFT = 6
    ZERO = 8


class _Width:
    """Code widths of numbers other than samples."""

    COMMAND = 2
    ENERGY = 3
    LONG = 2
    SHIFT = 2


def shorten_stream(samples: npt.NDArray[np.generic], kind: SampleType) -> bytes:
    """Encode (frames, channels): int16 samples, or uint8 mu-law codes for `MU_LAW`."""
    is_mu_law = kind is SampleType.MU_LAW
    values = _mu_law_ranks(samples) if is_mu_law else samples.astype(np.int32)
    shift, num_means = (0, 0) if is_mu_law else (_unused_low_bits(values), 4)
    values >>= shift
    num_frames, num_channels = values.shape
    numbers = [_longs(int(kind), num_channels, BLOCK_FRAMES, 0, num_means, 0)]
    if shift:
        numbers += [_number(_Command.BITSHIFT, _Width.COMMAND), _number(shift, _Width.SHIFT)]
    residuals = _residuals(values.T, num_means, shift)
    whole = num_frames - num_frames % BLOCK_FRAMES
    for start in range(0, whole, _CHUNK_FRAMES):
        chunk = slice(start, min(start + _CHUNK_FRAMES, whole))
        numbers.append(_blocks(residuals[:, :, chunk], values.T[:, chunk], BLOCK_FRAMES))
    if rest := num_frames - whole:
        numbers += [_number(_Command.BLOCKSIZE, _Width.COMMAND), _longs(rest)]
        numbers.append(_blocks(residuals[:, :, whole:], values.T[:, whole:], rest))
    numbers.append(_number(_Command.QUIT, _Width.COMMAND))
    coded = _rice_coded(*(np.concatenate(column) for column in zip(*numbers, strict=True)))
    return b"ajkg\x02" + coded


def _mu_law_ranks(codes: npt.NDArray[np.generic]) -> Ints:
    """Mu-law codes sorted by amplitude, from -128 to 127, so that neighbours are similar."""
    wide = codes.astype(np.int32)
    return np.where(wide >= 128, 255 - wide, wide - 128)


def _unused_low_bits(values: Ints) -> int:
    used = int(np.bitwise_or.reduce(values, axis=None))
    return (used & -used).bit_length() - 1 if used else 0


def _residuals(values: Ints, num_means: int, shift: int) -> Ints:
    """The residuals of the four predictors, (4, channels, frames), for (channels, frames)."""
    residuals = [values - _offsets(values, num_means, shift), np.diff(values, prepend=0)]
    residuals += [np.diff(residuals[1], prepend=0)]
    residuals += [np.diff(residuals[2], prepend=0)]
    return np.stack(residuals)


def _offsets(values: Ints, num_means: int, shift: int) -> Ints:
    """The mean of the `num_means` previous blocks, for each frame; divisions round towards zero.

    Means are computed from the samples before the shift, which rounds down.
    """
    if not num_means:
        return np.zeros_like(values)
    num_channels, num_frames = values.shape
    num_blocks = num_frames // BLOCK_FRAMES
    blocks = values[:, : num_blocks * BLOCK_FRAMES].reshape(num_channels, -1, BLOCK_FRAMES)
    means = np.fix((blocks.sum(axis=2) + BLOCK_FRAMES // 2) / BLOCK_FRAMES).astype(np.int32)
    sums = np.cumsum(np.pad(means << shift, ((0, 0), (num_means + 1, 0))), axis=1)
    recent = sums[:, num_means:] - sums[:, :-num_means]
    offsets = np.fix((recent + num_means // 2) / num_means).astype(np.int32) >> shift
    return np.repeat(offsets, BLOCK_FRAMES, axis=1)[:, :num_frames]


def _blocks(residuals: Ints, values: Ints, size: int) -> tuple[Ints, Ints]:
    """Blocks of `size` frames, channel by channel, as numbers and their code widths."""
    num_channels = len(values)
    by_block = np.moveaxis(residuals.reshape(4, num_channels, -1, size), 2, 0)
    order = np.abs(by_block).sum(axis=3, dtype=np.int64).argmin(axis=1)
    best = np.take_along_axis(by_block, order[:, None, :, None], axis=1)[:, 0]
    best = (best << 1) ^ (best >> 31)  # 0, -1, 1, -2, ... as 0, 1, 2, 3, ...
    width = _widths(best)
    is_zero = ~values.reshape(num_channels, -1, size).any(axis=2).T
    command = np.where(is_zero, int(_Command.ZERO), order).astype(np.int32)
    numbers = np.concatenate([command[..., None], width[..., None] - 1, best], axis=2)
    widths = np.repeat(width[..., None], size + 2, axis=2)
    widths[..., 0], widths[..., 1] = _Width.COMMAND, _Width.ENERGY
    is_written = np.ones(numbers.shape, dtype=np.bool_)
    is_written[is_zero, 1:] = False
    return numbers[is_written], widths[is_written]


def _widths(numbers: Ints) -> Ints:
    """The Rice code width that needs the fewest bits, for each row of the last axis."""
    size = numbers.shape[-1]
    estimate = np.log2(numbers.mean(axis=-1) + 1).astype(np.int32)
    candidates = np.stack([np.clip(estimate + step, 1, _HIGHEST_WIDTH) for step in (-1, 0, 1)])
    bits = [(numbers >> width[..., None]).sum(axis=-1) + width * size for width in candidates]
    best: Ints = np.take_along_axis(candidates, np.argmin(bits, axis=0)[None], axis=0)[0]
    return best


def _number(value: int, width: int) -> tuple[Ints, Ints]:
    return np.array([value], dtype=np.int32), np.array([width], dtype=np.int32)


def _longs(*values: int) -> tuple[Ints, Ints]:
    """Numbers of any size, each preceded by its code width."""
    widths = [value.bit_length() for value in values]
    numbers = np.array([widths, values], dtype=np.int32).T.ravel()
    return numbers, np.array([[_Width.LONG] * len(values), widths], dtype=np.int32).T.ravel()


def _rice_coded(values: Ints, widths: Ints) -> bytes:
    """Each value as its high part in unary (zeros, then a one) and its `width` low bits."""
    zeros = values >> widths
    ends = np.cumsum(zeros + 1 + widths, dtype=np.int64)
    bits = np.zeros(int(ends[-1]), dtype=np.uint8)
    bits[ends - widths - 1] = 1
    for place in range(int(widths.max())):
        has_bit = widths > place
        bits[ends[has_bit] - 1 - place] = (values[has_bit] >> place) & 1
    packed = np.packbits(bits).tobytes()
    return packed + bytes(-len(packed) % _WORD_BYTES)
