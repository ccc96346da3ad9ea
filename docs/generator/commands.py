"""The page on commands: arguments and options of each, from the command line itself."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from docs.generator import markdown
from flows.commands.app import app

_INTRODUCTION: Final = """\
`CONFIG` is the path of a configuration, the name of a bundled one such as `demo`, or a run of a
grid such as `grid.yaml:NAME`. The exit status is 0 when everything is done, 1 when shards failed or
a problem was found, 2 when a configuration or a command is wrong, 130 after Ctrl-C and 143 after
SIGTERM."""

_VALUES: Final = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH"}


def commands_page() -> str:
    """The page `commands.md`."""
    return markdown.page("Commands", [_INTRODUCTION, *_sections()])


@dataclass(frozen=True)
class Word:
    """An argument or option of a command, as its signature declares it."""

    name: str
    kind: Any
    info: ArgumentInfo | OptionInfo
    default: Any

    @property
    def is_option(self) -> bool:
        """Whether it is given by a name that begins with dashes."""
        return isinstance(self.info, OptionInfo)

    @property
    def is_required(self) -> bool:
        """Whether the command fails without it."""
        return self.default is inspect.Parameter.empty

    @property
    def shown(self) -> str:
        """`--name VALUES` for an option, `NAME` for an argument."""
        if not self.is_option:
            return str(self.info.metavar or self.name.upper())
        # in `Annotated`, typer takes the first name for a default
        given = (self.info.default, *(self.info.param_decls or ()))
        names = [one for one in given if isinstance(one, str) and one.startswith("-")]
        name = ", ".join(names) or f"--{self.name.replace('_', '-')}"
        return name if self.kind is bool else f"{name} {self.info.metavar or self.values}"

    @property
    def values(self) -> str:
        """The choices of an option, or the kind of its value."""
        if get_origin(self.kind) is Literal:
            return "|".join(map(str, get_args(self.kind)))
        given = [one for one in get_args(self.kind) if one is not type(None)] or [self.kind]
        return _VALUES[next(iter(get_args(given[0])), given[0])]  # that of each in a list


def commands() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every command by its words after `distillery`, such as `manifest list`."""
    yield from _commands_of(app, "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _commands_of(group.typer_instance, f"{group.name} ")


def _commands_of(group: typer.Typer, above: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for one in group.registered_commands:
        if one.callback is not None:
            yield f"{above}{one.name}", one.callback


def words_of(command: Callable[..., Any]) -> Iterator[Word]:
    """The arguments and options of a command, in their order."""
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        if get_origin(hints[name]) is Annotated:
            kind, info, *_ = get_args(hints[name])
            yield Word(name, kind, info, parameter.default)


def _sections() -> Iterator[str]:
    for name, command in commands():
        words = list(words_of(command))
        yield f"## distillery {name}"
        yield " ".join((inspect.getdoc(command) or "").split())
        yield f"    distillery {name} {' '.join(_usage(words))}".rstrip()
        if words:
            yield markdown.table(("argument or option", "meaning", "default"), map(_row, words))


def _usage(words: Sequence[Word]) -> Iterator[str]:
    for one in words:
        if not one.is_option:
            is_bare = one.is_required or one.shown.startswith("[")
            yield one.shown if is_bare else f"[{one.shown}]"
    yield from (one.shown for one in words if one.is_option and one.is_required)
    if any(one.is_option and not one.is_required for one in words):
        yield "[OPTIONS]"


def _row(one: Word) -> tuple[str, str, str]:
    default = ""
    if one.is_required:
        default = "required"
    elif one.default not in (None, False):
        default = markdown.code(repr(one.default) if one.default == "" else str(one.default))
    return markdown.code(one.shown), one.info.help or "", default
