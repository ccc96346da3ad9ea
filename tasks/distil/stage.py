"""The stage `distil`: the student of a published manifest."""

from collections.abc import Iterator
from typing import Final

from configs.schema import RunConfig
from tasks.stage import Parameter, Resource, Scope, Stage, settings_parameters
from tasks.whisper.identity import teacher_identity


def distil_parameters(config: RunConfig) -> Iterator[Parameter]:
    """What decides a student besides the manifest and the speech that selects its weights."""
    yield Parameter("teacher", teacher_identity(config.label.teacher))
    yield from settings_parameters(config.distil)


DISTIL: Final = Stage(
    name="distil",
    version=1,
    scope=Scope.RUN,
    resource=Resource.DEVICE,
    inputs=("publish",),
    defaults={},
)
