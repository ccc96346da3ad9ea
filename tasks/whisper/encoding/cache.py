"""A disposable cache on disk of what frozen models compute, which epochs and students share.

A frozen encoder has the same output for the same audio, and a frozen decoder for the same audio and
tokens. For training, values are stored in float16, which rounds them by at most 1 part in 2,000.
What was just computed is rounded in the same way, so that a result does not depend on whether the
cache had it. For evaluation they are stored as they are.
"""

import hashlib
import os
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor, nn

from tasks.audio import Samples
from tasks.whisper.tokens import Tokens

FOLDER: Final = "encoder-cache"
"""Its name in the scratch folder."""

_DIGEST_BYTES: Final = 16
_SUFFIXES: Final = {torch.float16: ".f16", torch.bfloat16: ".bf16", torch.float32: ".f32"}
_PART: Final = ".part"
_ABANDONED_S: Final = 3600.0


def module_digest(module: nn.Module) -> str:
    """SHA-256 of the names, dtypes and values of the weights."""
    found = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


class _Used:
    """The size of all files of a folder, which its caches in this process count together."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.Lock()
        self.size_bytes = _size_bytes(folder)


_LOCK: Final = threading.Lock()
_USED: Final = WeakValueDictionary[Path, _Used]()


def _used(folder: Path) -> _Used:
    with _LOCK:
        return _USED.setdefault(folder, _USED.get(folder) or _Used(folder))


class OutputCache:
    """Outputs of one frozen module in `dtype`, below `folder`; thread-safe, also among processes.

    Nothing is stored once all files of the folder together reach `limit_bytes`, as this process
    sees it, and nothing is replaced: passes over the same data in another order then still find
    what fitted. A damaged file counts as missing. With `is_exact`, values are stored in `dtype`,
    apart from those that are rounded to float16. Each of `num_sharing` processes that train
    together stores no more than its share of what is left.
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        module: nn.Module,
        dtype: str = "float32",
        *,
        is_exact: bool = False,
        num_sharing: int = 1,
    ) -> None:
        of_values = f"{dtype}-exact" if is_exact else dtype
        self._folder = folder / f"{module_digest(module)[:16]}-{of_values}"
        self._stored: torch.dtype = getattr(torch, dtype) if is_exact else torch.float16
        self._used = _used(folder)
        num_left = max(0, limit_bytes - self._used.size_bytes)
        self._limit_bytes = self._used.size_bytes + num_left // num_sharing
        self.num_found = 0
        self.num_computed = 0

    def get(self, waveform: Samples, inputs: Tokens = ()) -> Tensor | None:
        """The output for a waveform, (frames, width) as stored, on the CPU, or None.

        A waveform is (samples,) float32 at 16 kHz. A decoder's output, (tokens, width), is for
        its `inputs` as well.
        """
        try:
            data = self._path(waveform, inputs).read_bytes()
        except OSError:
            return None
        width = int.from_bytes(data[:4], "little")
        content, stated = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
        if not width or _digest(content) != stated:
            return None
        with self._used.lock:
            self.num_found += 1
        return torch.frombuffer(bytearray(content[4:]), dtype=self._stored).reshape(-1, width)

    def keep(self, waveforms: Sequence[Samples], computed: Tensor) -> list[Tensor]:
        """Store what an encoder has computed, (windows, frames, width), as far as it fits.

        Returns the outputs as `get` would: (frames, width) as stored, on the CPU.
        """
        outputs = computed.to(device="cpu", dtype=self._stored)
        return [
            self.keep_one(waveform, output)
            for waveform, output in zip(waveforms, outputs, strict=True)
        ]

    def keep_one(self, waveform: Samples, computed: Tensor, inputs: Tokens = ()) -> Tensor:
        """Store one output if it fits, and return it as `get` would."""
        output = computed.to(device="cpu", dtype=self._stored)
        self._put(self._path(waveform, inputs), output)
        return output

    def _put(self, path: Path, output: Tensor) -> None:
        values = output.contiguous().view(torch.uint8).numpy()
        content = output.shape[-1].to_bytes(4, "little") + values.tobytes()
        size_bytes = len(content) + _DIGEST_BYTES
        with self._used.lock:
            self.num_computed += 1
            if self._used.size_bytes + size_bytes > self._limit_bytes:
                return
            self._used.size_bytes += size_bytes
        part = path.with_name(f"{uuid.uuid4().hex}{_PART}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content + _digest(content))
            part.replace(path)
        except OSError:  # a full disk: go on without
            with suppress(OSError):
                part.unlink()
            with self._used.lock:
                self._limit_bytes = 0

    def _path(self, waveform: Samples, inputs: Tokens) -> Path:
        name = _digest(waveform.tobytes() + np.array(inputs, np.int64).tobytes()).hex()
        return self._folder / name[:2] / f"{name}{_SUFFIXES[self._stored]}"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def _size_bytes(folder: Path) -> int:
    """The size of all files; what a killed process left unfinished is removed."""
    total = 0
    for above, _, names in os.walk(folder):
        for entry in (Path(above, name) for name in names):
            with suppress(FileNotFoundError):  # another process has just finished it
                found = entry.stat()
                if entry.suffix == _PART and found.st_mtime < time.time() - _ABANDONED_S:
                    entry.unlink()
                else:
                    total += found.st_size
    return total
