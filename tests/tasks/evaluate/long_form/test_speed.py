from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.schema import RunConfig, Teacher
from storage.store import Store
from tasks.evaluate.long_form.speed import measure_long_form_speed
from tasks.normalise.schema import NORMALISED
from tasks.whisper.model import LoadedWhisper, load_whisper

TEACHER = Path(__file__).parents[4] / "tasks" / "demo" / "teacher"
WINDOW = 128_000  # of this teacher, in samples


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return RunConfig.model_validate(
        {
            "root": str(tmp_path),
            "corpora": {"librispeech": {}},
            "label": {
                "teacher": {"path": str(TEACHER)},
                "max_new_tokens": 8,
                "temperatures": [0.0],
            },
            "publish": {"name": "x"},
            "evaluate": {
                "num_timing_rounds": 1,
                "num_timed_utterances": 3,
                "long_form": {"chunk_s": 6.0, "algorithms": ["chunked"]},
            },
        }
    )


@pytest.fixture(scope="module")
def teacher() -> LoadedWhisper:
    return load_whisper(Teacher(path=str(TEACHER)), device="cpu")


def shard(store: Store, name: str, row, *lengths: int):
    """A stored shard whose recordings have so many samples."""
    rows = [row(f"{name}{index}", length) for index, length in enumerate(lengths)]
    rows = [{**one, "recording_id": one["id"]} for one in rows]
    with store.sink("normalise") as sink:
        pq.write_table(pa.Table.from_pylist(rows, schema=NORMALISED), sink)
        return store.keep(sink, f"normalise/{name}.parquet")


def audio_s(config, store, model, sets) -> float:
    found = list(measure_long_form_speed(config, store, {"teacher": model}, sets))
    return found[0].audio_s if found else 0.0


def test_no_more_windows_are_timed_than_utterances(config, store, teacher, row) -> None:
    sets = [
        (f"librispeech/{name}", shard(store, name, row, 4 * WINDOW)) for name in ("a", "b", "c")
    ]
    assert teacher.window_samples == WINDOW
    # two of the first set; what is left of the three would be no long recording
    assert audio_s(config, store, teacher, sets) == 2 * WINDOW / 16_000


def test_what_fits_into_a_window_is_not_timed(config, store, teacher, row) -> None:
    short = shard(store, "a", row, WINDOW, WINDOW // 2)
    assert audio_s(config, store, teacher, [("librispeech/a", short)]) == 0.0
