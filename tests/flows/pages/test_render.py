"""Pages are one file each, and what they show is escaped."""

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from flows.pages import render


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_text('{% extends "base.html" %}{% block main %}<p>{{ text }}</p>{% endblock %}')
    return path


def test_text_is_escaped_and_nothing_is_loaded(template: Path) -> None:
    page = render(template, {"title": "a < b", "text": "<script>alert(1)</script>"})
    assert "<title>a &lt; b</title>" in page
    assert "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>" in page
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=|url\(|@import""", page)


def test_a_missing_value_is_an_error(template: Path) -> None:
    with pytest.raises(UndefinedError, match="text"):
        render(template, {"title": "a"})
