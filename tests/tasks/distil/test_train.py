"""Training: updates, resuming, the choice of weights, errors."""

import math
from dataclasses import fields, replace

import pytest
import torch
from torch._dynamo.utils import counters
from transformers.models.whisper.modeling_whisper import WhisperAttention, WhisperDecoder

from storage.errors import IntegrityError, ShardError
from tasks.distil.best import Score
from tasks.distil.encode import TeacherEncoder
from tasks.distil.execution import Execution
from tasks.distil.progress.rows import TrainingRow
from tasks.distil.student import make_student
from tasks.distil.train import distil
from tasks.whisper.encoding.cache import OutputCache
from tests.tasks.distil.conftest import FolderCheckpoints, ListSource


class KilledError(Exception):
    """Simulates a killed process."""


class KillAt:
    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, row: TrainingRow) -> None:
        if row.step == self.step:
            raise KilledError


@pytest.fixture
def train(make_teacher, processor, source, checkpoints, settings, make_example):
    def run(**options):
        chosen = settings.model_copy(update=options.pop("settings", {}))
        known = {one.name for one in fields(Execution)}
        execution = {name: options.pop(name) for name in known & options.keys()}
        execution = {"device": torch.device("cpu"), "micro_batch_size": 3} | execution
        validation = options.pop("validation", [make_example(100 + n) for n in range(3)])
        examples = options.pop("examples", source)
        teacher = options.pop("teacher", None) or make_teacher()
        return distil(
            teacher, processor, examples, validation, chosen, Execution(**execution),
            options.pop("checkpoints", checkpoints), **options,
        )  # fmt: skip

    return run


def checkpoints_in(folder) -> FolderCheckpoints:
    return FolderCheckpoints(folder / "other checkpoints")


def _state(result):
    return result.student.state_dict()


def _assert_same(first, second) -> None:
    assert first.rows == second.rows
    assert (first.best_steps, first.score) == (second.best_steps, second.score)
    for name, value in _state(first).items():
        assert torch.equal(value, _state(second)[name]), name


def test_the_loss_falls_and_the_frozen_encoder_is_unchanged(train, make_teacher) -> None:
    teacher = make_teacher()
    before = make_student(teacher, 2).state_dict()
    result = train(settings={"num_steps": 30, "peak_learning_rate": 5e-3})
    assert result.rows[-1].loss < 0.7 * result.rows[0].loss
    changed = {
        name for name, value in _state(result).items() if not torch.equal(value, before[name])
    }
    assert "model.decoder.embed_tokens.weight" in changed
    assert "model.decoder.embed_positions.weight" in changed
    assert not any(name.startswith("model.encoder") for name in changed)
    decoder = {name for name in before if name.startswith("model.decoder.layers")}
    # the bias of a key shifts all scores alike, so Whisper has none and every parameter learns
    assert decoder <= changed
    assert result.student.proj_out.weight is result.student.model.decoder.embed_tokens.weight


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_teacher_is_as_it_was(train, make_teacher, dtype) -> None:
    """Evaluations in the same process use it, and the next student of a grid begins with it."""
    teacher = make_teacher()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    train(teacher=teacher, settings={"num_steps": 2, "dtype": dtype})
    after = teacher.state_dict()
    assert after.keys() == before.keys()
    for name, value in before.items():
        assert after[name].dtype == value.dtype
        assert torch.equal(after[name], value), name


def test_an_unfrozen_encoder_is_trained_except_its_positions(train, make_teacher) -> None:
    before = make_teacher().state_dict()
    found = _state(train(settings={"freeze_encoder": False}))
    for name in ("model.encoder.conv1.weight", "model.encoder.layers.1.fc2.bias"):
        assert not torch.equal(found[name], before[name])
    positions = "model.encoder.embed_positions.weight"
    assert torch.equal(found[positions], before[positions])


def test_the_teacher_is_unchanged(train, make_teacher) -> None:
    teacher = make_teacher()
    train(teacher=teacher)
    for name, value in make_teacher().state_dict().items():
        assert torch.equal(teacher.state_dict()[name], value)


@pytest.mark.parametrize("freeze_encoder", [True, False])
def test_a_shared_encoder_runs_once_per_batch(train, make_teacher, monkeypatch, freeze_encoder):
    teacher = make_teacher()
    num_encoded = {"teacher": 0, "student": 0}
    encoder = type(teacher.model.encoder)
    forward, call = encoder.forward, TeacherEncoder.__call__

    def by_student(self, features, *args, **options):
        num_encoded["student"] += len(features)
        return forward(self, features, *args, **options)

    def by_teacher(self, rows):
        num_encoded["teacher"] += len(rows)
        return call(self, rows)

    monkeypatch.setattr(encoder, "forward", by_student)
    monkeypatch.setattr(TeacherEncoder, "__call__", by_teacher)
    train(settings={"freeze_encoder": freeze_encoder, "num_steps": 1}, validation=[])
    assert num_encoded == {"teacher": 4, "student": 0 if freeze_encoder else 4}


def test_with_caches_each_window_is_encoded_and_decoded_once(train, make_teacher, tmp_path) -> None:
    def caches() -> dict[str, OutputCache]:
        model, folder = make_teacher().model, tmp_path / "cache"
        return {
            "encoder_cache": OutputCache(folder, 1 << 20, model.encoder),
            "teacher_cache": OutputCache(folder, 1 << 20, model),
        }

    settings = {"num_steps": 5, "evaluate_every_steps": 5}
    trained = train(settings=settings, **caches(), validation=[])
    again = caches()
    retrained = train(
        settings=settings, **again, validation=[], checkpoints=checkpoints_in(tmp_path)
    )
    for cache in again.values():
        assert cache.num_computed == 0
        assert cache.num_found >= 20
    _assert_same(trained, retrained)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_student_trained_from_caches_is_as_good(train, tmp_path, make_teacher, dtype) -> None:
    """Both caches round to float16, which changes losses by less than 1 %."""
    model, folder, settings = make_teacher().model, tmp_path / "cache", {"dtype": dtype}
    cached = train(
        settings=settings,
        encoder_cache=OutputCache(folder, 1 << 20, model.encoder, dtype),
        teacher_cache=OutputCache(folder, 1 << 20, model, dtype),
        checkpoints=checkpoints_in(tmp_path / "a"),
    )
    exact = train(settings=settings, checkpoints=checkpoints_in(tmp_path / "b"))
    assert cached.rows[-1].loss == pytest.approx(exact.rows[-1].loss, rel=0.01)
    assert cached.rows != exact.rows


@pytest.mark.parametrize("freeze_encoder", [True, False])
@pytest.mark.parametrize("killed_at", [1, 2, 3, 5, 6])
def test_a_killed_training_ends_with_the_same_weights(
    train, checkpoints, source, freeze_encoder, killed_at
) -> None:
    settings = {"freeze_encoder": freeze_encoder}
    with pytest.raises(KilledError):
        train(settings=settings, on_step=KillAt(killed_at))
    saved = max(checkpoints.saved, default=0)
    assert saved == 2 * ((killed_at - 1) // 2)
    resumed = train(settings=settings)
    assert source.starts == [0, saved * 4]
    checkpoints.folder = checkpoints.folder.with_name("straight")
    _assert_same(resumed, train(settings=settings))


def test_repeated_resuming_changes_nothing(train, checkpoints) -> None:
    for step in range(1, 6):
        with pytest.raises(KilledError):
            train(on_step=KillAt(step + 1), checkpoint_every_steps=1)
    resumed = train(checkpoint_every_steps=1)
    checkpoints.folder = checkpoints.folder.with_name("straight")
    _assert_same(resumed, train())


def test_a_finished_training_is_not_repeated(train, source) -> None:
    steps: list[int] = []
    first = train(on_step=lambda row: steps.append(row.step))
    again = train(on_step=lambda row: steps.append(row.step))
    assert steps == [1, 2, 3, 4, 5, 6]
    _assert_same(first, again)


def test_the_best_score_survives_a_restart(train, checkpoints) -> None:
    """The best score is before the kill and must not be replaced by later ones."""
    scores = {2: 0.1, 4: 0.5, 6: 0.4}
    seen: list[float] = []

    def validate(student) -> Score:
        seen.append(scores[2 * (len(seen) + 1)])
        return Score(seen[-1], {"first of": len(scores)})

    with pytest.raises(KilledError):
        train(validate=validate, on_step=KillAt(5))
    result = train(validate=validate)
    assert (result.best_steps, result.score) == ((2,), Score(0.1, {"first of": 3}))
    assert [row.validation for row in result.rows] == [None, 0.1, None, 0.5, None, 0.4]
    checkpoints.folder = checkpoints.folder.with_name("two steps")
    seen.clear()
    with pytest.raises(KilledError):
        train(validate=validate, on_step=KillAt(3))
    best = checkpoints.latest()[1]["best-1.safetensors"]
    assert best == checkpoints.latest()[1]["weights.safetensors"]
    for name, value in torch_load(best).items():
        assert torch.equal(_state(result)[name], value)


def torch_load(data: bytes) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    return load(data)


def test_validation_runs_without_gradients_on_the_student(train) -> None:
    def validate(student) -> Score:
        assert not torch.is_grad_enabled()
        assert not student.training
        assert student.config.decoder_layers == 2
        return Score(math.nan)

    result = train(validate=validate)
    assert math.isnan(result.score.value)
    assert result.best_steps == (6,)


def test_without_validation_the_last_weights_are_used(train) -> None:
    result = train(validation=[])
    assert (result.best_steps, result.score) == ((6,), None)
    assert all(row.validation is None for row in result.rows)


def test_validation_is_the_loss(train) -> None:
    result = train()
    scores = {row.step: row.validation for row in result.rows if row.validation is not None}
    assert set(scores) == {2, 4, 6}
    assert result.score.value == min(scores.values()) == scores[result.best_steps[0]]


@pytest.mark.parametrize("gain", [-0.1, 0.1])
def test_the_best_weights_are_averaged_where_their_mean_is_better(train, gain) -> None:
    """After steps 4 and 6, whose scores are the lowest; killed before the last, too."""
    scores = iter([0.9, 0.3, 0.4, 0.3 + gain])
    seen: list[dict[str, torch.Tensor]] = []

    def validate(student) -> Score:
        seen.append({name: value.clone() for name, value in student.state_dict().items()})
        return Score(next(scores))

    with pytest.raises(KilledError):
        train(validate=validate, on_step=KillAt(5), settings={"average_best": 2})
    result = train(validate=validate, settings={"average_best": 2})
    found = _state(result)
    _, second, third, mean = seen
    name = "model.decoder.layers.0.fc1.weight"
    assert not torch.equal(second[name], third[name])
    assert torch.allclose(mean[name], (second[name] + third[name]) / 2, rtol=1e-6, atol=0)
    if gain < 0:
        assert (result.best_steps, result.score) == ((4, 6), Score(0.3 + gain))
    else:
        assert (result.best_steps, result.score) == ((4,), Score(0.3))
    expected = mean if gain < 0 else second
    assert all(torch.equal(found[one], expected[one]) for one in found)


def test_the_last_step_is_always_scored_and_saved(train, checkpoints) -> None:
    result = train(settings={"num_steps": 5, "evaluate_every_steps": 100})
    assert checkpoints.saved == [5]
    assert [row.step for row in result.rows if row.validation is not None] == [5]


def test_the_micro_batch_size_affects_rounding_alone(train, checkpoints) -> None:
    results = []
    for size in (1, 4):
        checkpoints.folder = checkpoints.folder.with_name(f"micro{size}")
        results.append(train(micro_batch_size=size, settings={"num_steps": 2}))
    for one, four in zip(results[0].rows, results[1].rows, strict=True):
        assert one.loss == pytest.approx(four.loss, abs=1e-6)
    for name, value in _state(results[0]).items():
        assert torch.allclose(value, _state(results[1])[name], rtol=0, atol=2e-5), name


def test_every_step_is_reported(train) -> None:
    reported: list[TrainingRow] = []
    result = train(on_step=reported.append)
    assert reported == [replace(row, validation=None) for row in result.rows]


@pytest.mark.parametrize("threads", [1, 3])
def test_read_threads_do_not_change_the_result(train, checkpoints, threads) -> None:
    first = train()
    checkpoints.folder = checkpoints.folder.with_name(f"threads{threads}")
    _assert_same(first, train(num_read_threads=threads))


def test_a_non_finite_loss_stops_the_training(train, make_teacher, checkpoints) -> None:
    teacher = make_teacher()
    with torch.no_grad():
        teacher.model.decoder.layers[1].fc1.weight[0, 0] = torch.inf
    with pytest.raises(ShardError, match=r"step 1 of 6 has loss nan.*peak_learning_rate"):
        train(teacher=teacher)
    assert not checkpoints.saved


def test_a_checkpoint_of_other_settings_is_refused(train) -> None:
    train()
    with pytest.raises(IntegrityError, match=r"distil\.temperature = 2\.0, this training has 1\.0"):
        train(settings={"temperature": 1.0})


def test_bfloat16_trains_and_keeps_float32_weights(train) -> None:
    result = train(settings={"dtype": "bfloat16", "num_steps": 20})
    assert result.rows[-1].loss < 0.9 * result.rows[0].loss
    assert {value.dtype for value in _state(result).values()} == {torch.float32}


def test_pseudo_labels_alone_need_no_teacher(train, make_teacher) -> None:
    teacher = make_teacher()
    with torch.no_grad():
        teacher.model.decoder.layers[1].fc1.weight.fill_(torch.nan)
    result = train(teacher=teacher, settings={"kl_weight": 0.0}, validation=[])
    assert [row.kl for row in result.rows] == [0.0] * 6
    assert [row.loss for row in result.rows] == [row.ce for row in result.rows]


@pytest.mark.parametrize("kl_weight", [0.8, 0.0])
def test_hidden_states_are_part_of_the_loss(train, checkpoints, kl_weight) -> None:
    settings = {"kl_weight": kl_weight, "hidden_state_weight": 0.5, "num_steps": 20}
    rows = train(settings=settings, validation=[]).rows
    assert rows[-1].mse < 0.8 * rows[0].mse
    for row in rows:
        assert row.loss == pytest.approx(kl_weight * row.kl + row.ce + 0.5 * row.mse)
    checkpoints.folder = checkpoints.folder.with_name("without")
    without = train(settings=settings | {"hidden_state_weight": 0.0}, validation=[]).rows
    assert {row.mse for row in without} == {0.0}
    assert (without[0].ce, without[0].kl) == (rows[0].ce, rows[0].kl)


def test_without_their_weight_no_hidden_states_are_kept(train, monkeypatch) -> None:
    asked: list[bool] = []
    forward = WhisperDecoder.forward

    def noted(self, *args, **options):
        asked.append(options.get("output_hidden_states", False))
        return forward(self, *args, **options)

    monkeypatch.setattr(WhisperDecoder, "forward", noted)
    train(settings={"num_steps": 1})
    assert set(asked) == {False}


def test_a_teacher_with_itself_as_student_has_no_distance(train) -> None:
    rows = train(settings={"decoder_layers": 4, "hidden_state_weight": 1.0}, validation=[]).rows
    assert rows[0].mse == pytest.approx(0.0, abs=1e-9)


def test_all_rows_so_far_are_reported(train, checkpoints) -> None:
    """On resuming, after each update, and again with the score of a validation."""
    seen: list[tuple[int, bool]] = []

    def on_rows(rows) -> None:
        seen.append((len(rows), bool(rows) and rows[-1].validation is not None))

    with pytest.raises(KilledError):
        train(on_rows=on_rows, on_step=KillAt(3))
    train(on_rows=on_rows)
    begun = [(0, False), (1, False), (2, False), (2, True), (3, False)]
    resumed = [(2, True), (3, False), (4, False), (4, True), (5, False), (6, False), (6, True)]
    assert seen == begun + resumed


def test_checkpoints_are_also_written_by_time(train, checkpoints) -> None:
    train(checkpoint_every_s=0.0)
    assert checkpoints.saved == [1, 2, 3, 4, 5, 6]


def test_a_training_states_its_waiting_and_padding(train, make_example) -> None:
    rows = [make_example(index, text="boat " * (16 + index % 2)) for index in range(4)]
    result = train(examples=ListSource(rows), micro_batch_size=4)
    assert 0 < result.waiting_percent < 100
    assert 0 < result.padding_percent <= 5


@pytest.mark.parametrize("freeze_encoder", [True, False])
def test_recomputed_activations_change_no_bit(train, tmp_path, monkeypatch, freeze_encoder) -> None:
    passes = []
    forward = WhisperAttention.forward

    def counted(attention, *inputs, **more):
        passes.append(torch.is_grad_enabled())
        return forward(attention, *inputs, **more)

    monkeypatch.setattr(WhisperAttention, "forward", counted)
    chosen = {"freeze_encoder": freeze_encoder}
    kept = train(settings=chosen)
    num_kept = sum(passes)
    passes.clear()
    again = train(settings=chosen, recomputes=True, checkpoints=checkpoints_in(tmp_path))
    assert sum(passes) == 2 * num_kept > 0
    _assert_same(kept, again)


@pytest.mark.slow
def test_compiled_training_differs_by_rounding(train, tmp_path) -> None:
    plain = train()
    num_compiled = counters["stats"]["unique_graphs"]
    compiled = train(compiles=True, checkpoints=checkpoints_in(tmp_path))
    assert counters["stats"]["unique_graphs"] > num_compiled
    for one, other in zip(plain.rows, compiled.rows, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-3)
    for name, value in _state(plain).items():
        torch.testing.assert_close(_state(compiled)[name], value, rtol=1e-2, atol=1e-3)
