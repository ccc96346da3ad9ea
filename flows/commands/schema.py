"""The command `schema`: the JSON schema of a configuration, for editors."""

import json
from typing import Annotated

import typer

from configs.grid import Grid
from configs.schema import RunConfig

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def command(
    grid: Annotated[
        bool, typer.Option("--grid", help="That of a grid instead of a configuration.")
    ] = False,
) -> None:
    """Print the JSON schema of a configuration, by which editors complete and check it."""
    schema = (Grid if grid else RunConfig).model_json_schema()
    typer.echo(json.dumps({"$schema": _DIALECT, **schema}, indent=1))
