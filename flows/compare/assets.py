"""The library that the page runs, transformers.js with its ONNX Runtime: fetched once, checked.

None of it is part of this project. `npm` fetches exact versions into a cache of the user; what is
served must have the digests below.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from storage.errors import UserError
from tasks.ship.folder import new_folder
from tasks.text.display import one_line

COMMAND: Final = "distillery compare --fetch-assets"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package of npm: its archive's digest as npm writes it, and files of it with theirs.

    `files` are members of the archive, below `package/dist/`, with the SHA-256 of each.
    """

    name: str
    version: str
    sha512: str
    files: Mapping[str, str]

    @property
    def spec(self) -> str:
        """What npm calls it."""
        return f"{self.name}@{self.version}"


LIBRARY: Final = Package(
    name="@huggingface/transformers",
    version="4.3.2",
    sha512="V3+dqf3iWlRYJ9I9GreM3zGQd0lAXnnoPeddmkOQYWAEE4l/+Fi6p7tx/qVUJlKQgLXGim2W76rTOzz+eC0i7g==",
    files={
        "transformers.min.js": "8b5a3171f8876bab2b1820a7d65eb87628e3d30bb5ea85b9dd398e76eb34decb",
    },
)
RUNTIME: Final = Package(
    name="onnxruntime-web",
    version="1.31.0-dev.20260914-8d85527a0",  # that of the library
    sha512="Iy7rtadoBgxS/LLvDr3QW38DB1PNXRnr0GJMcL0TAt7c9qjgVQl83UlGCVyeAnK2InpmW8Uc3PL8XIuqtDeF6g==",
    files={
        "ort-wasm-simd-threaded.mjs": "c57ca56328877353a575e51bbca6f184"
        "50027d6c9bf2307a2cb2c41363b4de9f",
        "ort-wasm-simd-threaded.wasm": "06ba057753da3847e4c24f02d91ab133"
        "455b0817c69a44993a9a53a2146df9e3",
    },
)
PACKAGES: Final = (LIBRARY, RUNTIME)


def assets_folder() -> Path:
    """Where the files are: in the user's cache, XDG_CACHE_HOME or `~/.cache`."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "distillery" / f"transformers.js-{LIBRARY.version}"


def find_assets() -> Mapping[str, Path]:
    """The files by name.

    Raises `UserError`, with the command that fetches them, if one is missing or another.
    """
    folder = assets_folder()
    found: dict[str, Path] = {}
    for package in PACKAGES:
        for name, sha256 in package.files.items():
            path = folder / name
            if not path.is_file():
                raise UserError(f"{path} is missing, which the page runs; fetch it: {COMMAND}")
            if _sha256(path.read_bytes()) != sha256:
                raise UserError(f"{path} is not that of {package.spec}; fetch it anew: {COMMAND}")
            found[name] = path
    return found


def fetch_assets() -> Path:
    """Fetch what is missing with npm, and check it; the folder.

    Raises `UserError` if there is no npm, if it fails, and for an archive that is another one.
    """
    folder = assets_folder()
    try:
        find_assets()
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        with new_folder(folder) as written:
            for package in PACKAGES:
                _fetch(package, written)
        find_assets()
    return folder


def _fetch(package: Package, folder: Path) -> None:
    """Unpack the wanted files of a package, once its archive is known to be the expected one."""
    with TemporaryDirectory() as temporary:
        archive = _pack(package, Path(temporary))
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if digest != package.sha512:
            raise UserError(
                f"npm fetched another {package.spec}: its SHA-512 is {digest}, expected"
                f" {package.sha512}; check the registry that `npm config get registry` names"
            )
        with tarfile.open(archive) as members:
            for member in package.files:
                content = members.extractfile(f"package/dist/{member}")
                if content is None:
                    raise UserError(f"{package.spec} has no file {member}; please report it")
                (folder / member).write_bytes(content.read())


def _pack(package: Package, folder: Path) -> Path:
    """The archive of a package; nothing is installed, and no script of it runs."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError("npm is not installed, which fetches the page's library; install Node.js")
    words = [npm, "pack", package.spec, "--ignore-scripts", "--json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"npm cannot fetch {package.spec}: {_problem(done)}; check with:"
            f" npm view {package.spec}"
        )
    [described] = json.loads(done.stdout)
    return folder / str(described["filename"])


def _problem(done: subprocess.CompletedProcess[str]) -> str:
    """What went wrong, on one line: npm's own summary, or else the first line that it wrote."""
    try:
        return one_line(str(json.loads(done.stdout)["error"]["summary"]))
    except (ValueError, KeyError, TypeError):
        return one_line((done.stderr.strip().splitlines() or ["no message"])[0])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
