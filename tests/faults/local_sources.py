"""The smallest local corpora: tables in each format, and texts beside audio files."""

from configs.schema import CorpusSettings
from tasks.corpora.base import Corpus
from tasks.corpora.local.corpus import local_corpus
from tests.faults.sources import SOUND, Source, lines, parquet

COLUMNS = {
    "audio": "wav",
    "text": "said",
    "id": "key",
    "speaker": "who",
    "recording": "tape",
    "start_s": "from",
    "end_s": "to",
    "duration_s": "long",
}
ROWS = [
    {"wav": "a/1.flac", "said": "one", "key": "k1", "who": 7, "tape": "t", "from": 0.5, "to": 2.0},
    {"wav": "a/1.flac", "said": "two", "key": "k2", "who": "b", "tape": "t", "from": 2, "long": 1},
    {"wav": "a/2.flac", "said": "", "key": 3, "who": None, "tape": None, "to": "1.5"},
]
TABLE = [
    {"audio": SOUND, "said": "one", "key": "k1", "who": "a", "from": 0.5, "to": 2.0},
    {"audio": SOUND, "said": "two", "key": "k2", "who": None, "from": 2.0, "to": None},
    {"audio": None, "said": None, "key": "k3", "who": "b", "from": None, "to": 1.0},
]


def local(pattern: str, **columns: str | None) -> Corpus:
    splits = {
        "test": {"files": [pattern], "role": "test", "percent": 20},
        "train": {"files": [pattern]},
    }
    settings = CorpusSettings.model_validate({"local": {"splits": splits, "columns": columns}})
    return local_corpus("own", settings)


LOCAL_SOURCES = {
    "local json lines": Source(
        local("lists/*.jsonl", **COLUMNS),
        {"lists/train.jsonl": lines(*ROWS)},
        ("lists/a/1.flac", "a/2.flac"),
    ),
    "local parquet": Source(
        local("data/*.parquet", text="said", id="key", speaker="who", start_s="from", end_s="to"),
        {"data/train.parquet": parquet(TABLE)},
    ),
    "local paths in parquet": Source(
        local("data/*.parquet", audio="wav", text="said"),
        {"data/train.parquet": parquet([{"wav": "1.flac", "said": "one"}] * 3)},
        ("data/1.flac",),
    ),
    "local texts": Source(
        local("speech/*.flac"),
        {"speech/1.txt": "\ufeffA ferry  leaves.\n".encode(), "speech/2.txt": b"no audio"},
        ("speech/1.flac",),
    ),
}
"""By name: local corpora in each format."""
