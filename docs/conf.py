"""The site: `make docs` builds it with Sphinx from the pages here, for reading from a disk."""

import re
from collections.abc import Iterator
from typing import Any

project = "Distillery"
html_title = project
extensions = ["myst_parser"]
myst_heading_anchors = 4
exclude_patterns = ["generator"]
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_use_index = False
html_show_search_summary = False  # a browser reads no other file for it from a disk
html_theme_options = {"navigation_with_keys": True}


def setup(app: Any) -> None:
    """Have Sphinx take the navigation from the front page."""
    app.connect("source-read", _with_navigation)


def _with_navigation(app: Any, page: str, source: list[str]) -> None:
    if page == "index":
        source[0] += "\n".join(_navigation(source[0]))


def _navigation(text: str) -> Iterator[str]:
    """The links below each heading of the front page, as Sphinx wants them."""
    for section in text.split("\n## ")[1:]:
        yield "\n```{toctree}"
        yield ":hidden:"
        yield f":caption: {section.splitlines()[0]}\n"
        for title, target in re.findall(r"^- \[(.+)\]\((.+)\.md\)$", section, re.MULTILINE):
            yield f"{title} <{target}>"
        yield "```"
