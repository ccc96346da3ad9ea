"""A folder of real speech and real weights, as CONTRIBUTING.md describes it, and runs on it."""

import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from itertools import groupby
from json import loads
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import yaml

from tasks.audio import SAMPLE_RATE_HZ, Pcm, Samples, decode, decode_flac, to_whisper_rate

ARCHIVES: Final = ("dev-clean.tar.gz", "test-clean.tar.gz")
_BOOKS_PERCENT: Final = 12  # of the speakers: 4 of 28
_LEARNERS_PERCENT: Final = 15  # 11 of 125
# of one chapter of test-clean; the first and the last are longer than 30 s
_SAMPLED: Final = frozenset(f"4507-16021-{number:04}" for number in range(26, 48))
NUM_JOINED: Final = 8
_NUM_RECORDINGS: Final = 2
_PAUSE_S: Final = 1.5
_COLUMNS: Final = {"audio": "audio", "id": "id", "speaker": "speaker", "duration_s": "duration_s"}


@dataclass(frozen=True)
class Speech:
    """The folder, and whether to use all of it instead of a sample."""

    folder: Path
    is_full: bool

    def teacher(self, name: str, folder: Path) -> Path:
        """Real Whisper weights in Hugging Face format, in a new folder."""
        command = [sys.executable, str(self.folder / "teacher"), name, str(folder)]
        subprocess.run(command, check=True)
        return folder

    def write_run(self, folder: Path, teacher: Path, *, train_hours: float | None = None) -> Path:
        """The configuration of a run, with what it needs, in a folder of its own.

        It labels all corpora, or with `train_hours` about so much of `books`, and evaluates on the
        LibriSpeech archives.
        """
        corpora = {"librispeech": self._librispeech(folder), "books": self._books()}
        if train_hours is None:
            corpora["learners"] = self._local("learners", _LEARNERS_PERCENT, _COLUMNS)
            corpora["untranscribed"] = self._untranscribed(folder)
        else:
            corpora["books"]["limit_hours"] = train_hours
        settings = {
            "root": str(folder / "data"),
            "corpora": corpora,
            "plan": {"target_shard_hours": 0.25},
            "normalise": {"segment": "vad"},
            "label": {"teacher": {"path": str(teacher)}, "timestamps": True},
            "publish": {"name": "real"},
            # with all layers the student begins as its teacher; with fewer, so few updates leave
            # one that repeats itself up to the token limit
            "distil": {
                "decoder_layers": _num_decoder_layers(teacher),
                "num_steps": 4,
                "peak_learning_rate": 1e-6,
                "batch_size": 4,
                "num_warmup_steps": 1,
                "evaluate_every_steps": 4,
                "num_validation_windows": 8,
            },
            "evaluate": {
                "num_timing_rounds": 1,
                "timing_batch_sizes": [1],
                "num_timed_utterances": 4,
            },
            "runtime": {"device": "cpu", "retries": 0, "micro_batch_size": 4},
        }
        config = folder / "real.yaml"
        # the first split with a percentage takes its share, so the order counts
        config.write_text(yaml.safe_dump(settings, sort_keys=False))
        return config

    def utterances(self) -> dict[str, Samples]:
        """The utterances of test-clean by name, (samples,) float32 at 16 kHz."""
        found: dict[str, Samples] = {}
        with tarfile.open(self.folder / "librispeech" / "test-clean.tar.gz") as archive:
            for member in archive:
                name = Path(member.name)
                if name.suffix == ".flac" and (content := archive.extractfile(member)) is not None:
                    found[name.stem] = decode_flac(content.read())
        return found

    def chapters(self) -> dict[str, Samples]:
        """The utterances of each chapter of test-clean, joined, (samples,) float32 at 16 kHz."""
        utterances = self.utterances()
        names = sorted(utterances)
        return {
            chapter: np.concatenate([utterances[name] for name in members])
            for chapter, members in groupby(names, key=lambda name: name.rsplit("-", 1)[0])
        }

    def _librispeech(self, folder: Path) -> dict[str, Any]:
        return {
            "mirror": str(self._archives(folder / "librispeech")),
            "checksums": "sha256sums",
            "splits": ["dev-clean", "test-clean"],
        }

    def _books(self) -> dict[str, Any]:
        return self._local("books", _BOOKS_PERCENT, {**_COLUMNS, "recording": "recording"})

    def _untranscribed(self, folder: Path) -> dict[str, Any]:
        files = {"splits": {"train": {"files": ["*.flac"]}}, "columns": {"text": None}}
        return {
            "mirror": str(self._recordings(folder / "recordings")),
            "local": files,
            "filter": {"drop_empty_reference": False},
        }

    def _local(self, name: str, percent: int, columns: dict[str, str]) -> dict[str, Any]:
        """A table of transcribed speech; a sample is a share of the speakers."""
        files = {"files": ["train.jsonl"]}
        sample = {"train": {**files, "percent": percent}, "rest": files}
        local = {"splits": {"train": files} if self.is_full else sample, "columns": columns}
        return {"mirror": str(self.folder / name), "splits": ["train"], "local": local}

    def _archives(self, folder: Path) -> Path:
        """The LibriSpeech archives; a sample has 22 utterances of test-clean."""
        original = self.folder / "librispeech"
        if self.is_full:
            return original
        folder.mkdir(parents=True)
        dev_clean, test_clean = ARCHIVES
        shutil.copy(original / dev_clean, folder)
        with (
            tarfile.open(original / test_clean) as archive,
            tarfile.open(folder / test_clean, "w:gz") as excerpt,
        ):
            for member in archive:
                if (content := archive.extractfile(member)) is not None:
                    _add_sampled(excerpt, member, content.read())
        lines = [f"{sha256((folder / one).read_bytes()).hexdigest()}  {one}\n" for one in ARCHIVES]
        (folder / "SHA256SUMS").write_text("".join(lines))
        return folder

    def _recordings(self, folder: Path) -> Path:
        """Untranscribed utterances, joined to recordings that are long enough to be cut."""
        folder.mkdir(parents=True)
        utterances = self.table("untranscribed")
        pause = np.zeros(round(_PAUSE_S * SAMPLE_RATE_HZ), np.int16)
        for number in range(len(utterances) // NUM_JOINED if self.is_full else _NUM_RECORDINGS):
            rows = utterances[number * NUM_JOINED : (number + 1) * NUM_JOINED]
            pieces = [piece for row in rows for piece in (self._samples(row), pause)]
            path = folder / f"{number:02}.flac"
            soundfile.write(path, np.concatenate(pieces), SAMPLE_RATE_HZ, format="FLAC")
        return folder

    def _samples(self, row: dict[str, Any]) -> Pcm:
        return to_whisper_rate(decode((self.folder / "untranscribed" / row["audio"]).read_bytes()))

    def table(self, corpus: str) -> list[dict[str, Any]]:
        """The rows of a corpus in JSON Lines."""
        lines = (self.folder / corpus / "train.jsonl").read_text().splitlines()
        return [loads(line) for line in lines]


def _num_decoder_layers(model: Path) -> int:
    layers: int = loads((model / "config.json").read_text())["decoder_layers"]
    return layers


def _add_sampled(excerpt: tarfile.TarFile, member: tarfile.TarInfo, content: bytes) -> None:
    """Add a member of an archive, a transcript only with its sampled lines."""
    path = Path(member.name)
    if path.suffix == ".flac" and path.stem in _SAMPLED:
        excerpt.addfile(member, BytesIO(content))
    elif path.name.endswith(".trans.txt"):
        lines = content.splitlines(keepends=True)
        kept = b"".join(line for line in lines if line.split()[0].decode() in _SAMPLED)
        if kept:
            member.size = len(kept)
            excerpt.addfile(member, BytesIO(kept))


def utterances_in(archive: Path) -> set[str]:
    """The ids of the utterances in a LibriSpeech archive."""
    with tarfile.open(archive) as members:
        return {Path(name).stem for name in members.getnames() if name.endswith(".flac")}
