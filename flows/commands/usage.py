"""A wrong command line becomes one line on standard error, as any other mistake."""

import sys
from typing import Any, Final

from typer.core import TyperGroup

from flows.commands.screen import complain

_MISTAKE: Final = 2


class OneLineUsage(TyperGroup):
    """The commands, without typer's usage text around an error message."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command that the arguments name, and exit with its status."""
        if not options.get("standalone_mode", True):
            return super().main(*args, **options)
        try:
            result = super().main(*args, **{**options, "standalone_mode": False})
        except Exception as error:
            # some versions of typer raise click's errors, later ones have a copy of them
            if not hasattr(error, "format_message"):
                raise
            if message := error.format_message():  # there is none after the help text
                context = getattr(error, "ctx", None)
                command = context.command_path if context else "distillery"
                complain(f"{message.rstrip('.')}; see `{command} --help`")
            sys.exit(_MISTAKE)
        sys.exit(result if isinstance(result, int) else 0)
