"""Exports a manifest as a Hugging Face data set: Parquet with audio inside, and a card."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from storage.manifest import Manifest
from storage.receipt import FileRef
from storage.stage import ROW_GROUP_BYTES
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ
from tasks.card import hub_licence, render_card
from tasks.export.parts import Part, Written
from tasks.export.rows import Row, file_name, take
from tasks.normalise.schema import AUDIO

_FEATURES: Final[dict[str, Any]] = {
    "id": {"dtype": "string", "_type": "Value"},
    "corpus": {"dtype": "string", "_type": "Value"},
    "split": {"dtype": "string", "_type": "Value"},
    "utterance_ids": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"},
    "offsets_s": {"feature": {"dtype": "float64", "_type": "Value"}, "_type": "Sequence"},
    "duration_s": {"dtype": "float64", "_type": "Value"},
    # decode=false, so that `datasets` needs no torchcodec to read it
    "audio": {"sampling_rate": SAMPLE_RATE_HZ, "decode": False, "_type": "Audio"},
    "text": {"dtype": "string", "_type": "Value"},
    "pseudo_text": {"dtype": "string", "_type": "Value"},
    "wer_percent": {"dtype": "float64", "_type": "Value"},
    "language": {"dtype": "string", "_type": "Value"},
}

EXPORTED: Final = pa.schema(
    [
        ("id", pa.string()),
        ("corpus", pa.string()),
        ("split", pa.string()),
        ("utterance_ids", pa.list_(pa.string())),
        ("offsets_s", pa.list_(pa.float64())),
        ("duration_s", pa.float64()),
        ("audio", AUDIO),
        ("text", pa.string()),
        ("pseudo_text", pa.string()),
        ("wer_percent", pa.float64()),
        ("language", pa.string()),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)
"""One row per window; `text` is the normalised reference, `pseudo_text` the teacher's label."""

_SIZES: Final = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"))

_COLUMNS: Final = """
## The columns of this data set

`id` of the window; its `corpus` and `split`; the `utterance_ids` in it and the start of each,
`offsets_s`; `duration_s`; `audio`, FLAC at 16 kHz; `text`, the normalised reference, empty if there
is none; `pseudo_text`, the transcript of the teacher; `wer_percent` between the two; `language`.

```python
from datasets import Audio, load_dataset

rows = load_dataset(FOLDER, split="train")  # or load_dataset(FOLDER, CORPUS, split="train")
rows = rows.cast_column("audio", Audio(sampling_rate=16_000))  # decoded; needs torchcodec
```
"""


class HuggingFace:
    """Parquet files by corpus in `data/`, and README.md with metadata for the Hub."""

    name = "hf"
    version = 1
    folder = "data"

    def write(self, dest: Store, part: Part, rows: Iterator[Row]) -> FileRef:
        """Write one Parquet file with row groups of about 16 MB."""
        plain = [name for name in EXPORTED.names if name != "audio"]
        path = f"{self.folder}/{part.name}.parquet"
        num_rows = 0
        with dest.sink(path.rpartition("/")[0]) as sink:
            with pq.ParquetWriter(
                sink, EXPORTED, compression="zstd", use_dictionary=plain, write_statistics=plain
            ) as writer:
                for group in take(rows, ROW_GROUP_BYTES):
                    table = pa.Table.from_pylist([_values(row) for row in group], EXPORTED)
                    writer.write_table(table)
                    num_rows += len(group)
            return dest.keep(sink, path).model_copy(update={"num_rows": num_rows})

    def finish(self, dest: Store, manifest: Manifest, written: Sequence[Written]) -> None:
        """Write the card, with the data files of each corpus."""
        corpora = list(dict.fromkeys(one.part.corpus for one in written))
        head = yaml.safe_dump(_metadata(manifest, corpora), sort_keys=False, allow_unicode=True)
        with dest.sink("") as sink:
            sink.write(f"---\n{head}---\n\n{render_card(manifest)}{_COLUMNS}".encode())
            dest.keep(sink, "README.md")


def _values(row: Row) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in EXPORTED.names if name != "audio"}
    return {**values, "audio": {"bytes": row.flac, "path": f"{file_name(row.id)}.flac"}}


def _metadata(manifest: Manifest, corpora: Sequence[str]) -> dict[str, Any]:
    num_windows = manifest.content.num_windows
    settings = [manifest.content.settings(corpus) for corpus in corpora]
    files = {"default": "data/*/*.parquet"}
    files |= {corpus: f"data/{corpus}/*.parquet" for corpus in corpora if corpus not in files}
    return {
        "pretty_name": f"{manifest.name} {manifest.number}",
        "language": sorted({str(one.get("label.language", "en")) for one in settings}),
        **hub_licence(manifest.licences[corpus] for corpus in corpora),
        "task_categories": ["automatic-speech-recognition"],
        "size_categories": [
            next((words for limit, words in _SIZES if num_windows < limit), "n>1M")
        ],
        "tags": ["pseudo-labels", "distillery"],
        "configs": [
            {"config_name": name, "data_files": [{"split": "train", "path": path}]}
            for name, path in files.items()
        ],
    }
