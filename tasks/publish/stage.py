"""The stage `publish`: a versioned manifest of all shards that went through the filter."""

from typing import Final

from tasks.stage import Resource, Scope, Stage

PUBLISH: Final = Stage(
    name="publish", version=1, scope=Scope.RUN, resource=Resource.CPU, inputs=("filter",)
)
