"""Real speech as a shard: a table of audio files, or LibriSpeech as an archive or a folder.

Corpora are read by the pipeline's own adapters and normalised as it does. The shard has recordings
in a fixed random order, so that a few windows come from many speakers.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.label.speech import Speech
from configs.schema import Columns, CorpusSettings, LocalCorpus, LocalSplit, Normalise
from storage.shard import ShardKey
from tasks.corpora.base import Corpus, Member, Segment
from tasks.corpora.local.corpus import local_corpus
from tasks.corpora.public.librispeech import LIBRISPEECH
from tasks.download.archive import unpack
from tasks.download.files import AudioPlace
from tasks.normalise.schema import NORMALISED
from tasks.normalise.shard import normalise_shard
from tasks.plan.shard import plan_part

_SPLIT = "train"
_WHOLE_HOURS = 1_000.0  # more than any recording has


@dataclass(frozen=True)
class LocalFiles:
    """Members of local files, a `tasks.corpora.base.Raw`: paths are those of this machine."""

    files: Sequence[Member]

    def members(self, suffix: str = "") -> Iterator[Member]:
        """The members whose names end with `suffix`, sorted by name."""
        return (one for one in self.files if one.name.endswith(suffix))

    def read(self, member: Member) -> bytes:
        """The bytes of one member."""
        return self.audio(AudioPlace(member.file, member.offset, member.size))

    def open(self, member: Member) -> BinaryIO:
        """A file of its own as a stream; tables are never members of an archive."""
        return open(member.file, "rb")

    def audio(self, place: AudioPlace) -> bytes:
        """The encoded audio at a place."""
        with open(place.file, "rb") as file:
            file.seek(place.offset)
            return file.read(place.size)

    def others(self) -> Iterable[str]:
        """No files belong to no source."""
        return ()


def read_speech(path: Path, audio: Path, audio_s: float, window_s: float) -> Speech:
    """Write a shard of about `audio_s` seconds of `audio` to `path`.

    `audio` is a JSON Lines table with the columns `audio` (a path relative to the table), `id` and,
    where known, `text`, `speaker`, `recording` and `duration_s`; or LibriSpeech, as its archive or
    the folder it unpacks to. Utterances longer than a window are left out.
    """
    with TemporaryDirectory(dir=path.parent) as scratch:
        corpus, files = _corpus(audio, Path(scratch))
        segments = [one for one in corpus.read(files) if isinstance(one, Segment)]
        recordings = _recordings(segments)
        Random(0).shuffle(recordings)
        settings = Normalise(max_duration_s=window_s)
        texts: dict[str, str] = {}
        total_s = 0.0
        with pq.ParquetWriter(path, NORMALISED, compression="zstd") as writer:
            for batch in _normalised(recordings, files, corpus, settings):
                num_rows = 0
                for row in batch.select(["id", "raw_text", "duration_s"]).to_pylist():
                    if total_s >= audio_s:
                        break
                    text = corpus.clean(row["raw_text"])
                    texts[row["id"]] = text if isinstance(text, str) else ""
                    total_s += row["duration_s"]
                    num_rows += 1
                writer.write_batch(batch.slice(0, num_rows))
                if total_s >= audio_s:
                    break
    return Speech(path, texts, total_s)


def _corpus(audio: Path, scratch: Path) -> tuple[Corpus, LocalFiles]:
    if audio.suffix == ".jsonl":
        return _table(audio), LocalFiles(_below(audio.parent))
    if audio.is_dir():
        return LIBRISPEECH, LocalFiles(_below(audio))
    tar = scratch / "archive.tar"
    with tar.open("wb") as unpacked:
        rows = unpack(audio, audio.name, unpacked).to_pylist()
    return LIBRISPEECH, LocalFiles(
        [Member(str(tar), row["name"], row["offset"], row["size"]) for row in rows]
    )


def _table(path: Path) -> Corpus:
    with path.open() as lines:
        names = json.loads(next(lines)).keys()
    wanted = {name: name for name in ("id", "speaker", "recording", "duration_s") if name in names}
    columns = Columns(text="text" if "text" in names else None, **wanted)
    split = LocalSplit(files=[path.name])
    local = LocalCorpus(splits={_SPLIT: split}, columns=columns)
    return local_corpus("bench", CorpusSettings(local=local))


def _below(folder: Path) -> list[Member]:
    return [
        Member(str(path), path.relative_to(folder).as_posix(), 0, path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


def _recordings(segments: Sequence[Segment]) -> list[list[Segment]]:
    """The segments of each recording; of each speaker where every segment is a recording."""
    recordings: dict[str, list[Segment]] = {}
    speakers: dict[str, list[Segment]] = {}
    for segment in segments:
        recordings.setdefault(segment.recording_id, []).append(segment)
        speakers.setdefault(segment.speaker_id or segment.recording_id, []).append(segment)
    return list((speakers if len(recordings) == len(segments) else recordings).values())


def _normalised(
    recordings: Iterable[Sequence[Segment]],
    files: LocalFiles,
    corpus: Corpus,
    settings: Normalise,
) -> Iterator[pa.RecordBatch]:
    for segments in recordings:
        split = segments[0].split
        part = plan_part(
            segments,
            split=split,
            known_ids=(),
            first_shard=0,
            target_shard_hours=_WHOLE_HOURS,
            file_digests={segment.audio.file: segment.audio.name for segment in segments},
        )
        planned = [one for one in part.outcomes if isinstance(one, pa.RecordBatch)]
        key = ShardKey(corpus.name, split, 0)
        table = pa.Table.from_batches(planned)
        for outcome in normalise_shard(table, files.audio, key, settings):
            if isinstance(outcome, pa.RecordBatch):
                yield outcome
