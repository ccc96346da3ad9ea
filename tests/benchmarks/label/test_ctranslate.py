"""Loading CTranslate2 for a benchmark does not slow what is measured beside it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.label.models import DEMO, folder_models

ctranslate = pytest.importorskip("benchmarks.label.ctranslate")

NUM_THREADS = 3


@pytest.mark.parametrize("layout", ctranslate.layouts(2))
def test_torch_keeps_its_threads(layout: Any, tmp_path: Path) -> None:
    models = folder_models(DEMO, ["float32"], "cpu", None)
    converted = ctranslate.converted(models, tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(NUM_THREADS)
    try:
        ctranslate.ctranslate2_engine(converted, models.teacher, "float32", 8, layout)
        assert torch.get_num_threads() == NUM_THREADS
    finally:
        torch.set_num_threads(before)
