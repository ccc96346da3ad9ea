"""The command `corpora`: the catalogue of known corpora."""

from flows.commands.options import AsJson
from flows.commands.terminal.render import show
from flows.commands.views.corpora import catalogue_view
from tasks.corpora.catalogue import read_catalogue


def command(as_json: AsJson = False) -> None:
    """List the known corpora: hours, source, licence, and what must be signed or provided."""
    show(catalogue_view(read_catalogue()), as_json=as_json)
