import pytest

from tasks.whisper.decoding.graphs import GraphCache, bucket_shape


def test_without_a_recorder_every_step_runs_eagerly():
    graphs, runs = GraphCache(None), []
    for number in range(3):
        assert graphs.run("same", lambda number=number: runs.append(number))
    assert runs == [0, 1, 2]
    assert not graphs.is_enabled


def test_a_step_runs_eagerly_once_and_is_then_recorded_per_key():
    runs, recorded = [], []

    def record(step):
        recorded.append(step)
        return lambda: runs.append("replay")

    graphs = GraphCache(record)
    is_typical = [
        graphs.run(key, lambda key=key: runs.append(key)) for key in ("a", "a", "a", "b", "b")
    ]
    assert is_typical == [False, False, True, False, False]
    assert runs == ["a", "replay", "replay", "b", "replay"]
    assert len(recorded) == 2


@pytest.mark.parametrize(
    ("num_rows", "num_positions", "shape"),
    [(64, 5, (64, 64)), (33, 64, (64, 64)), (32, 65, (32, 128)), (1, 220, (8, 228))],
)
def test_bucketed_shapes_are_few_and_large_enough(num_rows, num_positions, shape):
    assert bucket_shape(num_rows, num_positions, num_slots=64, max_positions=228) == shape


def test_bucketed_rows_never_exceed_the_slots():
    assert bucket_shape(1, 1, num_slots=3, max_positions=10) == (3, 10)
