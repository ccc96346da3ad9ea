"""The teacher's last hidden states: computed once, and the same whatever else is in a batch."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tasks.distil.batch import Prepared, collate
from tasks.distil.update.cached_states import CachedStates
from tasks.whisper.encoding.cache import OutputCache
from tasks.whisper.tokens import IGNORED

TEXTS = "a", "the boat was very small", "we lost two horses and a letter"


@pytest.fixture
def rows(preparer, make_example) -> list[Prepared]:
    return [preparer(make_example(index, text=text)) for index, text in enumerate(TEXTS)]


def states_of(teacher, rows: Sequence[Prepared], cache: OutputCache) -> Tensor:
    features = torch.stack([torch.from_numpy(row.features) for row in rows])
    batch = collate(rows, padding_id=0)
    with torch.no_grad():
        # a window at a time, so that its bits do not depend on the others either
        encoded = torch.cat([teacher.model.encoder(one[None])[0] for one in features])
        states = CachedStates(teacher.model.decoder, cache)
        return states(rows, batch.inputs, encoded, batch.targets != IGNORED)


def test_they_are_the_teachers_at_the_target_tokens(make_teacher, rows, tmp_path) -> None:
    teacher = make_teacher().eval()
    found = states_of(teacher, rows, OutputCache(tmp_path, 1 << 20, teacher.model))
    expected = []
    for row in rows:
        decoded = teacher.model(
            torch.from_numpy(row.features)[None], decoder_input_ids=torch.tensor([row.inputs])
        )
        is_target = torch.tensor(row.targets) != IGNORED
        expected.append(decoded.last_hidden_state[0][is_target])
    assert torch.allclose(found, torch.cat(expected), rtol=1e-3, atol=1e-4)


def test_no_bit_depends_on_the_other_rows(make_teacher, rows, tmp_path) -> None:
    teacher = make_teacher().eval()
    together = states_of(teacher, rows, OutputCache(tmp_path / "a", 1 << 20, teacher.model))
    alone = OutputCache(tmp_path / "b", 1 << 20, teacher.model)
    assert torch.equal(together, torch.cat([states_of(teacher, [row], alone) for row in rows]))


def test_what_was_read_is_not_computed_again(make_teacher, rows, tmp_path) -> None:
    teacher = make_teacher().eval()
    cache = OutputCache(tmp_path, 1 << 20, teacher.model)
    first = states_of(teacher, rows[:2], cache)
    read = [replace(row, teacher_states=cache.get(row.waveform, row.inputs)) for row in rows]
    assert [row.teacher_states is not None for row in read] == [True, True, False]
    again = states_of(teacher, read, cache)
    assert cache.num_computed == len(rows)
    assert torch.equal(again[: len(first)], first)


def test_another_label_of_a_window_has_states_of_its_own(make_teacher, rows, tmp_path) -> None:
    teacher = make_teacher().eval()
    cache = OutputCache(tmp_path, 1 << 20, teacher.model)
    states_of(teacher, rows[:1], cache)
    assert cache.get(rows[0].waveform, rows[0].inputs[:-1]) is None
    assert cache.get(rows[0].waveform) is None
