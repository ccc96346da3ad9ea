"""How far one planned shard is, from its receipts."""

from dataclasses import dataclass

from storage.receipt import FileRef, PlannedShard, Receipt
from storage.shard import ShardKey
from tasks.stages import SHARD_STAGES, stage_named


@dataclass(frozen=True)
class ShardState:
    """One planned shard and the receipts that it has so far, by stage."""

    key: ShardKey
    planned: PlannedShard
    plan: FileRef
    row_group: int  # of the shard in the plan's file
    stages: tuple[str, ...]
    receipts: dict[str, Receipt]

    @property
    def is_complete(self) -> bool:
        """Whether the shard went through all its stages."""
        return self.next_stage is None

    @property
    def next_stage(self) -> str | None:
        """The first stage without a receipt; None when all are done."""
        return next((stage for stage in self.stages if stage not in self.receipts), None)

    def sources(self, stage: str) -> tuple[str, ...]:
        """The digests of what `stage` reads; only once the stages before it are done."""
        return tuple(
            self.receipts[name].output.sha256 if name in self.stages else self.planned.digest
            for name in stage_named(stage).inputs
            if name in self.stages or name not in SHARD_STAGES
        )
