"""The view of the page about a run."""

from flows.commands.terminal.render import View


def page_view(path: str, url: str, *, is_new: bool) -> View:
    """Where the page is: its path below the root, and its URL."""
    data = {"path": path, "url": url, "is_new": is_new}
    return View(data, [url])
