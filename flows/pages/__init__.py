"""The pages that people open in a browser: one look, and no request to any other server.

A page is a Jinja template that extends `base.html`. Everything it needs is inside the file, so it
opens from disk; its content security policy forbids the rest.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE: Final = Path(__file__).parent


def render(template: Path, values: Mapping[str, Any]) -> str:
    """The text of a page; raises `jinja2.UndefinedError` for a value that is not given.

    Values are escaped, except those that are `markupsafe.Markup` already, such as charts.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, _HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(values)
