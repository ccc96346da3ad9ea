"""A server on loopback with the API of the Hugging Face Hub.

What it says follows what huggingface_hub understands: listing by revision and tree with pages,
`resolve` with a redirect of small files to a path of its own and of large ones to another origin,
whose addresses are signed and which refuses a token.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.file_server import Wire, serving

LINKED_BYTES = 1_000
"""Files of at least this size are stored in Git LFS, with a sha256."""

MEMBER, STRANGER = "hf_member", "hf_stranger"
"""Tokens of an account that accepted all terms and of one that accepted none."""

GATED = "Access to dataset {} is restricted"


@dataclass(frozen=True)
class Request:
    """A received request."""

    origin: str  # hub or cdn
    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class HubServer(Wire):
    """Data sets by name, each with files by path, and the behaviour for the next requests."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    revisions: set[str] = field(default_factory=lambda: {"main"})  # names of the one commit
    page_size: int = 1_000
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # of what comes next
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    cdn_url: str = ""

    def commit(self, repo: str) -> str:
        """The commit of the files as they are."""
        names = [[path, git_sha1(data)] for path, data in sorted(self.repos[repo].items())]
        return hashlib.sha1(json.dumps(names).encode(), usedforsecurity=False).hexdigest()

    def answer_hub(self, request: BaseHTTPRequestHandler) -> None:
        if self._is_refused(request, "hub"):
            return
        token = _token(request)
        if token not in (None, MEMBER, STRANGER):
            _say(request, 401, message="Invalid credentials in Authorization header")
            return
        parts = [unquote(part) for part in urlsplit(request.path).path.strip("/").split("/")]
        kind, parts = (parts[0], parts[1:]) if parts[0] == "api" else ("", parts)
        if parts[0] == "resolve-cache":
            kind, parts = parts[0], parts[1:]
        repo, verb = "/".join(parts[1:3]), parts[3] if len(parts) > 3 else "revision"
        revision = parts[4] if len(parts) > 4 else "main"
        if parts[0] != "datasets" or repo not in self.repos:
            code = {} if token is None else {"X-Error-Code": "RepoNotFound"}
            message = "Invalid username or password." if token is None else "Repository not found"
            _say(request, 401 if token is None else 404, message=message, headers=code)
        elif revision not in self.revisions | {self.commit(repo)}:
            code = {"X-Error-Code": "RevisionNotFound"}
            _say(request, 404, message=f"Invalid rev id: {revision}", headers=code)
        elif kind == "api" and verb == "revision":
            _say(request, 200, self._about(repo))
        elif kind == "api" and verb == "tree":
            self._tree(request, repo)
        elif self._may_get(request, repo, token):
            self._resolve(request, repo, "/".join(parts[5:]), is_last=kind != "")

    def answer_cdn(self, request: BaseHTTPRequestHandler) -> None:
        if self._is_refused(request, "cdn"):
            return
        sha256 = urlsplit(request.path).path.strip("/")
        if _token(request) is not None:
            _say(request, 400, message="Only one auth mechanism allowed")
            return
        for files in self.repos.values():
            for path, data in files.items():
                if hashlib.sha256(data).hexdigest() == sha256 and "Signature=" in request.path:
                    etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
                    self.send(request, path, data, {"ETag": etag})
                    return
        _say(request, 403, message="Access denied")

    def _is_refused(self, request: BaseHTTPRequestHandler, origin: str) -> bool:
        self.requests.append(
            Request(
                origin,
                request.command,
                urlsplit(request.path).path,
                request.headers.get("Range"),
                _token(request),
            )
        )
        if not self.refusals:
            return False
        status, headers = self.refusals.pop(0)
        _say(request, status, message="not now", headers=headers)
        return True

    def _about(self, repo: str) -> dict[str, Any]:
        siblings = [{"rfilename": path} for path in sorted(self.repos[repo])]
        gated = "auto" if repo in self.gated else False
        about = {"id": repo, "sha": self.commit(repo), "gated": gated, "private": False}
        return about | {"siblings": siblings, "tags": [], "downloads": 0, "likes": 0}

    def _tree(self, request: BaseHTTPRequestHandler, repo: str) -> None:
        url = urlsplit(request.path)
        entries = list(_entries(self.repos[repo]))
        if parse_qs(url.query).get("recursive", ["false"])[0].lower() != "true":
            entries = [entry for entry in entries if "/" not in entry["path"]]
        start = int(parse_qs(url.query).get("cursor", ["0"])[0])
        stop, headers = start + self.page_size, {}
        if stop < len(entries):
            link = f"{self.url}{url.path}?recursive=True&expand=False&cursor={stop}"
            headers = {"Link": f'<{link}>; rel="next"'}
        _say(request, 200, entries[start:stop], headers=headers)

    def _may_get(self, request: BaseHTTPRequestHandler, repo: str, token: str | None) -> bool:
        if repo not in self.gated or token == MEMBER:
            return True
        message = GATED.format(repo)
        status = 401 if token is None else 403
        _say(request, status, message=message, headers={"X-Error-Code": "GatedRepo"})
        return False

    def _resolve(
        self, request: BaseHTTPRequestHandler, repo: str, path: str, *, is_last: bool
    ) -> None:
        if path not in self.repos[repo]:
            code = {"X-Error-Code": "EntryNotFound"}
            _say(request, 404, message="Entry not found", headers=code)
            return
        data, commit = self.repos[repo][path], self.commit(repo)
        if is_last:
            etag = f'"{git_sha1(data)}"'
            self.send(request, path, data, {"ETag": etag, "X-Repo-Commit": commit})
            return
        headers = {"X-Repo-Commit": commit, "X-Linked-Size": str(len(data))}
        if len(data) < LINKED_BYTES:
            headers["X-Linked-Etag"] = f'"{git_sha1(data)}"'
            where = f"/api/resolve-cache/datasets/{repo}/resolve/{commit}/{quote(path)}"
            _say(request, 307, headers=headers | {"Location": where})
            return
        sha256 = hashlib.sha256(data).hexdigest()
        headers["X-Linked-Etag"] = f'"{sha256}"'
        where = f"{self.cdn_url}/{sha256}?Expires=1&Signature=signed"
        _say(request, 302, headers=headers | {"Location": where})


@contextmanager
def hub_server(
    repos: Mapping[str, Mapping[str, bytes]], gated: Collection[str] = ()
) -> Iterator[HubServer]:
    """A Hub for `HF_ENDPOINT`; its large files are at another origin."""
    hub = HubServer(repos={repo: dict(files) for repo, files in repos.items()}, gated=set(gated))
    with serving(hub.answer_hub) as hub.url, serving(hub.answer_cdn) as cdn_url:
        # another host, as in reality: huggingface_hub 1 sends its token to any port of one host
        hub.cdn_url = cdn_url.replace("127.0.0.1", "localhost")
        yield hub


def git_sha1(data: bytes) -> str:
    """The git blob id of this content."""
    blob = b"blob %d\0" % len(data) + data
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def _entries(files: Mapping[str, bytes]) -> Iterator[dict[str, Any]]:
    """The tree of a commit: folders and files, sorted by path."""
    folders = {
        "/".join(path.split("/")[:n]) for path in files for n in range(1, path.count("/") + 1)
    }
    for path in sorted({*files, *folders}):
        if path in folders:
            yield {"type": "directory", "oid": git_sha1(path.encode()), "size": 0, "path": path}
            continue
        data = files[path]
        entry = {"type": "file", "oid": git_sha1(data), "size": len(data), "path": path}
        if len(data) >= LINKED_BYTES:  # git itself keeps a pointer
            sha256 = hashlib.sha256(data).hexdigest()
            pointer = (
                "version https://git-lfs.github.com/spec/v1\n"
                f"oid sha256:{sha256}\nsize {len(data)}\n"
            ).encode()
            linked = {"oid": sha256, "size": len(data), "pointerSize": len(pointer)}
            entry |= {"oid": git_sha1(pointer), "lfs": linked}
        yield entry


def _token(request: BaseHTTPRequestHandler) -> str | None:
    authorization = request.headers.get("Authorization")
    return None if authorization is None else authorization.removeprefix("Bearer ")


def _say(
    request: BaseHTTPRequestHandler,
    status: int,
    body: Any = None,
    *,
    message: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    told = {"error": message} if message else body
    data = b"" if told is None else json.dumps(told).encode()
    request.send_response(status)
    for header, value in (headers or {}).items():
        request.send_header(header, value)
    if message is not None:
        request.send_header("X-Error-Message", message)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(data)
