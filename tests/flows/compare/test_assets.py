"""The page's library is fetched with npm, and only the expected files are accepted."""

import base64
import hashlib
import json
import sys
import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from flows.compare import assets
from flows.compare.assets import (
    LIBRARY,
    PACKAGES,
    RUNTIME,
    Package,
    assets_folder,
    fetch_assets,
    find_assets,
)
from storage.errors import UserError

CONTENT = b"export const answer = 42;\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A package of one file, which is all that the page needs; its archive is in the folder."""
    archive = tmp_path / "small-1.0.0.tgz"
    with tarfile.open(archive, "w:gz") as members:
        member = tarfile.TarInfo("package/dist/small.js")
        member.size = len(CONTENT)
        members.addfile(member, BytesIO(CONTENT))
    package = Package(
        name="small",
        version="1.0.0",
        sha512=base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode(),
        files={"small.js": hashlib.sha256(CONTENT).hexdigest()},
    )
    monkeypatch.setattr(assets, "PACKAGES", (package,))
    return package


def npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that takes the place of npm."""
    program = folder / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport json, shutil, sys\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def packing(folder: Path) -> str:
    """What npm does when all is well, with the archive of the small package."""
    return (
        f"assert sys.argv[1:] == ['pack', 'small@1.0.0', '--ignore-scripts', '--json']\n"
        f"shutil.copy({str(folder / 'small-1.0.0.tgz')!r}, 'small-1.0.0.tgz')\n"
        "print(json.dumps([{'filename': 'small-1.0.0.tgz'}]))"
    )


def test_without_them_the_error_names_the_command() -> None:
    with pytest.raises(UserError, match=r"transformers.min.js is missing.*--fetch-assets$"):
        find_assets()


def test_they_are_fetched_once(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(tmp_path, packing(tmp_path), monkeypatch)
    folder = fetch_assets()
    assert folder == assets_folder()
    assert {name: path.read_bytes() for name, path in find_assets().items()} == {
        "small.js": CONTENT
    }
    monkeypatch.setenv("PATH", "")
    assert fetch_assets() == folder


def test_a_changed_file_is_refused_and_fetched_anew(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(tmp_path, packing(tmp_path), monkeypatch)
    changed = fetch_assets() / "small.js"
    changed.write_bytes(CONTENT + b" ")
    with pytest.raises(UserError, match=r"small.js is not that of small@1.0.0; .*--fetch-assets"):
        find_assets()
    fetch_assets()
    assert changed.read_bytes() == CONTENT


def test_another_archive_is_refused(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(package, sha512=LIBRARY.sha512)
    monkeypatch.setattr(assets, "PACKAGES", (other,))
    npm(tmp_path, packing(tmp_path), monkeypatch)
    with pytest.raises(UserError, match=r"npm fetched another small@1.0.0: its SHA-512 is"):
        fetch_assets()
    assert not assets_folder().exists()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            f"print(json.dumps({json.dumps({'error': {'summary': 'no version found'}})}));"
            " sys.exit(1)",
            "npm cannot fetch small@1.0.0: no version found; check with: npm view small@1.0.0",
        ),
        ("sys.exit('npm error broken\\nmore')", "npm cannot fetch small@1.0.0: npm error broken;"),
    ],
)
def test_a_failing_npm_is_one_line(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    npm(tmp_path, script, monkeypatch)
    with pytest.raises(UserError) as raised:
        fetch_assets()
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


def test_no_npm_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="npm is not installed"):
        fetch_assets()


def test_versions_and_digests_are_exact() -> None:
    assert (LIBRARY, RUNTIME) == PACKAGES
    for package in PACKAGES:
        assert package.version[0].isdigit()
        assert len(package.sha512) == 88
        assert all(len(digest) == 64 for digest in package.files.values())
