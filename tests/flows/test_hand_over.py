"""What a run leaves is read by the libraries that its users have, and nothing warns."""

import subprocess
import sys
import wave
from ast import literal_eval
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.flows.running import TEACHER, Run
from tests.processes import environment


@pytest.fixture(scope="module")
def student(finished: Run) -> Path:
    return finished.root / str(finished.json("evaluate")["student_folder"])


def test_datasets_reads_a_normalised_shard(finished: Run, tmp_path: Path) -> None:
    from datasets import Audio, load_dataset

    shards = [str(path) for path in (finished.root / "normalise").rglob("*.parquet")]
    files = [path for path in shards if "quarantine" not in path]
    data = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert data.features["audio"] == Audio(sampling_rate=16_000, decode=False)
    assert data.num_rows == sum(pq.read_metadata(path).num_rows for path in files)
    assert data[0]["audio"]["bytes"].startswith(b"fLaC")


def test_transformers_transcribes_with_the_student(student: Path, tmp_path: Path) -> None:
    recording = tmp_path / "silence.wav"
    with wave.open(str(recording), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 16_000))
    code = (
        "import sys, soundfile; from transformers import pipeline\n"
        "listen = pipeline('automatic-speech-recognition', model=sys.argv[1], device='cpu')\n"
        "samples, rate = soundfile.read(sys.argv[2], dtype='float32')\n"
        "print('heard', listen({'raw': samples, 'sampling_rate': rate}).keys())"
    )
    done = _python(code, str(student), str(recording))
    assert "heard dict_keys(['text'])" in done.stdout


@pytest.mark.parametrize("kind", ["WhisperForConditionalGeneration", "AutoModelForCausalLM"])
def test_the_student_drafts_the_text_of_its_teacher(
    finished: Run, student: Path, tmp_path: Path, kind: str
) -> None:
    """Alone, or as Distil-Whisper is used: with the encoder output of the teacher."""
    table = next((finished.root / "normalise").rglob("dev-clean/*.parquet"))
    paths = []
    for row in pq.read_table(table).to_pylist()[:3]:
        paths.append(tmp_path / f"{len(paths)}.flac")
        paths[-1].write_bytes(row["audio"]["bytes"])
    code = (
        "import sys, soundfile, transformers as t\n"
        "teacher = t.WhisperForConditionalGeneration.from_pretrained(sys.argv[1])\n"
        "student = getattr(t, sys.argv[3]).from_pretrained(sys.argv[2])\n"
        "processor = t.WhisperProcessor.from_pretrained(sys.argv[2])\n"
        "samples = [soundfile.read(path)[0] for path in sys.argv[4:]]\n"
        "texts = [[processor.decode(teacher.generate(\n"
        "    processor(one, sampling_rate=16_000, return_tensors='pt').input_features, **options\n"
        ")[0], skip_special_tokens=True) for one in samples]\n"
        "for options in ({}, {'assistant_model': student})]\n"
        "print(texts)"
    )
    done = _python(code, str(TEACHER), str(student), kind, *map(str, paths))
    alone, drafted = literal_eval(done.stdout)
    assert drafted == alone
    assert len(set(alone)) == len(paths)


@pytest.mark.parametrize("which", ["teacher", "student"])
def test_no_weight_is_missing_or_unused(which: str, student: Path) -> None:
    folder = TEACHER if which == "teacher" else student
    code = (
        "import sys; from transformers import WhisperForConditionalGeneration as W\n"
        "_, info = W.from_pretrained(sys.argv[1], output_loading_info=True)\n"
        "print({name: len(found) for name, found in info.items()})"
    )
    done = _python(code, str(folder))
    counts = literal_eval(done.stdout)
    assert counts
    assert not any(counts.values())
    for word in ("missing", "unused", "newly initialized", "not initialized"):
        assert word not in done.stderr.lower()


def _python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(), check=True, capture_output=True, text=True,
    )  # fmt: skip
