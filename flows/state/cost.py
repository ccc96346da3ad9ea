"""What the stages of a run took, from the times that receipts state."""

from collections.abc import Iterable
from dataclasses import dataclass

from flows.state.status import StageStatus
from tasks.stage import Resource
from tasks.stages import stage_named


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """The time that one stage took for a corpus, its shards added up.

    `hours` are those of the speech that came out, of every model and condition in `evaluate`. With
    `is_on_device` they were made one at a time on each device, so that `work_hours` are device
    hours; else each took a worker.
    """

    stage: str
    corpus: str
    is_on_device: bool
    hours: float
    work_hours: float

    @property
    def times_real_time(self) -> float | None:
        """Hours of speech in an hour of work; None where it took no time."""
        return self.hours / self.work_hours if self.work_hours else None


def costs(lines: Iterable[StageStatus]) -> list[StageCost]:
    """A cost for each stage and corpus, in the order of the lines.

    Left out are those where a receipt states no time, such as downloads.
    """
    grouped: dict[tuple[str, str], list[StageStatus]] = {}
    for line in lines:
        if line.shards.done:
            grouped.setdefault((line.stage, line.corpus), []).append(line)
    found: list[StageCost] = []
    for (stage, corpus), of_stage in grouped.items():
        seconds = [line.seconds for line in of_stage if line.seconds is not None]
        if len(seconds) == len(of_stage):
            found.append(
                StageCost(
                    stage=stage,
                    corpus=corpus,
                    is_on_device=stage_named(stage).resource is Resource.DEVICE,
                    hours=sum(line.hours for line in of_stage),
                    work_hours=sum(seconds) / 3600,
                )
            )
    return found
