"""The rows that the UI shows are those of the status."""

from flows.dispatch.tables import failure_rows, hours_rows, reason_rows, status_rows
from flows.state.repair import rerun_command
from flows.state.status import ShardCounts, StageStatus, Status
from storage.shard import ShardKey
from tasks.run import ShardFailed


def line(stage: str, corpus: str = "ami", hours: float = 1.0, **counts: object) -> StageStatus:
    values = {"dropped": {}, "quarantined": {}, "created": 0, "rows_in": 9, "rows_out": 9, **counts}
    shards = ShardCounts(done=2, missing=1, failed=0)
    return StageStatus(
        stage=stage, corpus=corpus, split="train", shards=shards, hours=hours, **values
    )


def status(*lines: StageStatus) -> Status:
    return Status(stages=list(lines), failures=[])


def test_a_row_of_the_status_has_every_count() -> None:
    told = line(
        "filter", rows_in=8, created=1, rows_out=4, dropped={"wer": 3}, quarantined={"x": 2}
    )
    [row] = status_rows([told])
    assert row == {
        "stage": "filter", "corpus": "ami", "split": "train", "done": 2, "missing": 1, "failed": 0,
        "rows in": 9, "rows out": 4, "left out": 5, "hours": 1.0,
    }  # fmt: skip


def test_hours_are_summed_by_corpus_over_its_splits() -> None:
    found = hours_rows(
        status(
            line("download"), line("label", hours=1.5), line("label", hours=0.25),
            line("label", corpus="tedlium"), line("publish", corpus="all"),
        )
    )  # fmt: skip
    assert found == [{"corpus": "ami", "label": 1.75}, {"corpus": "tedlium", "label": 1.0}]


def test_reasons_come_with_the_most_frequent_first() -> None:
    found = reason_rows(
        status(
            line("score", dropped={"not_scored": 2}),
            line("filter", dropped={"wer": 3}, quarantined={"no_audio": 1}),
            line("filter", dropped={"wer": 4}),
        )
    )
    told = [(row["stage"], row["outcome"], row["reason"], row["rows"]) for row in found]
    assert told == [
        ("filter", "dropped", "wer", 7),
        ("score", "dropped", "not_scored", 2),
        ("filter", "quarantined", "no_audio", 1),
    ]


def test_a_failure_comes_with_the_command_that_mends_it() -> None:
    key = ShardKey("ami", "train", 7)
    [row] = failure_rows("run.yaml", [ShardFailed("label", key, "no memory")])
    assert row["again"] == "distillery rerun run.yaml label ami/train/00007"
    assert rerun_command("run.yaml", "evaluate", key) == "distillery evaluate run.yaml"
