"""Every link of the documents leads to a file, and every anchor to a heading."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from docs.generator.markdown import anchor

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for pattern in ("*.md", "docs/**/*.md", ".github/**/*.md")
    for path in REPOSITORY.glob(pattern)
)
_LINK = re.compile(r"(?<!!)\[(?:[^]\[]|\[[^]]*\])*\]\(([^)\s]+)\)")
_PICTURE = re.compile(r"!\[[^]]*\]\(([^)\s]+)\)")


@cache
def prose(document: Path) -> str:
    """A document without its blocks of code and its code in lines."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", lambda code: code[0] if "](" not in code[0] else "", text)


@cache
def anchors(document: Path) -> frozenset[str]:
    """The anchors of the headings of a document; a repeated one has a number."""
    found: list[str] = []
    for title in re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title)
        name, number = anchor(plain), 1
        while name in found:
            name, number = f"{anchor(plain)}-{number}", number + 1
        found.append(name)
    return frozenset(found)


def broken(document: Path, root: Path) -> Iterator[str]:
    """The links of a document that lead nowhere, or out of the repository."""
    for target in (*_LINK.findall(prose(document)), *_PICTURE.findall(prose(document))):
        if re.match(r"[a-z]+:|\.\./\.\./actions/", target):  # the latter are pages of GitHub
            continue
        path, _, fragment = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or not file.is_relative_to(root):
            yield f"{target}: no such file"
        elif fragment and (file.suffix != ".md" or fragment not in anchors(file)):
            yield f"{target}: no such heading"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_link_leads_somewhere(document: str) -> None:
    assert list(broken(REPOSITORY / document, REPOSITORY)) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b.c`\n[x](#a-bc) [x](#b) [x](gone.md)\n```\n[x](y.md)\n```\n")
    assert list(broken(page, tmp_path)) == ["#b: no such heading", "gone.md: no such file"]


def test_each_page_is_on_the_front_page() -> None:
    front = (REPOSITORY / "docs/index.md").read_text()
    listed = set(re.findall(r"^- \[.+\]\((.+\.md)\)$", front, re.MULTILINE))
    pages = {name.removeprefix("docs/") for name in DOCUMENTS if name.startswith("docs/")}
    assert listed == pages - {"index.md"}
