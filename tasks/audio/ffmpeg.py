"""Decoding with FFmpeg, for the formats that libsndfile does not read."""

from io import BytesIO

import av
import av.error
import numpy as np

from tasks.audio.pcm import Audio, AudioError


def decode_with_ffmpeg(data: bytes, reason: str) -> Audio:
    """Decode the first audio stream of a file.

    Raises `AudioError`; its message ends with `reason`, which says why FFmpeg was used.
    """
    try:
        with av.open(BytesIO(data), "r") as container:
            if container.format.name == "flac":  # whose damage it conceals
                raise AudioError(f"damaged FLAC ({reason})")
            if not container.streams.audio:
                raise AudioError(f"no audio in it ({reason})")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise AudioError(f"of an unknown codec ({reason})")
            # interleaved: PyAV reads planar audio of more than eight channels out of bounds
            resampler = av.AudioResampler(format="s16")
            blocks = [
                converted.to_ndarray().reshape(-1, converted.layout.nb_channels)
                for frame in container.decode(stream)
                for converted in resampler.resample(frame)
            ]
            if not blocks:
                raise AudioError(f"no samples in it ({reason})")
            return Audio(np.concatenate(blocks), stream.codec_context.sample_rate)
    except AudioError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        raise AudioError(f"cannot be decoded: {error} ({reason})") from error
