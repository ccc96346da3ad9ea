"""The examples of docs/add-a-corpus.md: configurations load, the adapter reads the format."""

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from configs.load import load_config
from storage.outcome import quarantined
from tasks.corpora.base import Corpus, Segment, Unplanned
from tasks.corpora.registry import corpus_of_run
from tests.builders import encoded, noise

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], Any]]

PAGE = (Path(__file__).parents[3] / "docs" / "add-a-corpus.md").read_text()
CONFIGURATIONS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
[ADAPTER] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", CONFIGURATIONS, ids=lambda text: text.split("\n")[0])
def test_each_configuration_describes_a_corpus(tmp_path: Path, text: str) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text(text)
    config = load_config(file)
    [name] = config.corpora
    corpus = corpus_of_run(config, name)
    assert corpus.revision.startswith("local-")
    assert "train" in corpus.splits.values()


def test_all_formats_are_shown() -> None:
    shown = "".join(CONFIGURATIONS)
    assert all(form in shown for form in (".flac", ".jsonl", ".parquet", "hub:", "text: null"))


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    module = tmp_path / "english_dialects.py"
    module.write_text(ADAPTER)
    found = run_path(str(module), run_name="tasks.corpora.public.english_dialects")
    value: Corpus = found["ENGLISH_DIALECTS"]
    return value


def zipped(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def test_the_adapter_reads_the_original_format(corpus: Corpus, read_corpus: ReadCorpus) -> None:
    wave = encoded(noise(4_800), "WAV", "PCM_16", 48_000)
    irish = b"""\
EN0086, irm_02484_00388340153, It is thirteen degrees, they say
EN0087, irm_02484_00388340154, whose audio is missing
EN0088, irm_02484_00388340155
no line of an index
EN0090, irm_03397_\xff, not UTF-8
"""
    welsh = b"EN0086, wem_02484_00100000001, It is thirteen degrees\n"
    files = {source.name: zipped({"line_index.csv": b""}) for source in corpus.sources}
    files["irish_english_male.zip"] = zipped(
        {"line_index.csv": irish, "irm_02484_00388340153.wav": wave, "LICENSE": b"CC BY-SA"}
    )
    files["welsh_english_male.zip"] = zipped(
        {"line_index.csv": welsh, "wem_02484_00100000001.wav": wave}
    )
    items, raw = read_corpus(corpus, files)
    segments = [item for item in items if isinstance(item, Segment)]
    assert {(one.id, one.speaker_id, one.raw_text) for one in segments} == {
        ("irm_02484_00388340153", "irm_02484", "It is thirteen degrees, they say"),
        ("wem_02484_00100000001", "wem_02484", "It is thirteen degrees"),
    }
    assert all(raw.audio(one.audio) == wave for one in segments)
    assert [item.row for item in items if isinstance(item, Unplanned)] == [
        quarantined("irm_02484_00388340154", "no_audio", "named in line_index.csv"),
        quarantined("line_index:3", "malformed_line", "EN0088, irm_02484_00388340155"),
        quarantined("line_index:4", "malformed_line", "no line of an index"),
        quarantined("line_index:5", "malformed_line", "EN0090, irm_03397_\ufffd, not UTF-8"),
    ]


def test_its_examples_are_correct(corpus: Corpus) -> None:
    for raw_text, reference in corpus.examples.items():
        assert corpus.clean(raw_text) == reference
    assert sum(corpus.hours.values()) == pytest.approx(29.8)
    assert {source.name for source in corpus.sources} >= {"irish_english_male.zip"}
