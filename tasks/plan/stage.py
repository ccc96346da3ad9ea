"""The stage `plan`: which annotated segment belongs to which shard."""

from collections.abc import Iterator
from typing import Final

from tasks.plan.schema import PLAN as SCHEMA
from tasks.stage import Parameter, Resource, Scope, Stage, StageContext, settings_parameters


def _parameters(context: StageContext) -> Iterator[Parameter]:
    yield Parameter("revision", context.corpus.revision)
    yield Parameter("read_version", context.corpus.read_version)
    yield from settings_parameters(context.config.plan)


PLAN: Final = Stage(
    name="plan",
    version=2,
    scope=Scope.PART,
    resource=Resource.CPU,
    inputs=("download",),
    schema=SCHEMA,
    row_group_bytes=None,  # a row group is a shard
    parameters=_parameters,
    defaults={"target_shard_hours": 8.0},
)
