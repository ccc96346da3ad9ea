"""A server on loopback to which huggingface_hub uploads models.

It makes repositories, takes large files by Git LFS and everything in one commit; the client must
have HF_HUB_DISABLE_XET set, since there is no Xet storage behind it.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.file_server import serving

WRITER, READER = "hf_writer", "hf_reader"
"""Tokens of an account that may write, and of one that may only read."""

LINKED_BYTES = 100_000
"""Files of at least this size go to Git LFS."""


@dataclass
class Model:
    """A repository: its files by path, and the messages of its commits."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


@dataclass
class UploadServer:
    """Models by name; `large` are files in Git LFS by their SHA-256."""

    models: dict[str, Model] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    is_down: bool = False
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        path = urlsplit(request.path).path.strip("/")
        if self.is_down:
            _say(request, 503, {"error": "overloaded"})
        elif request.command == "PUT":  # to signed addresses, which take no token
            self.large[path.removeprefix("large/")] = body
            _say(request, 200, {})
        elif request.headers.get("Authorization") != f"Bearer {WRITER}":
            _say(request, 403, {"error": f"not with {request.headers.get('Authorization')}"})
        elif path == "api/validate-yaml":
            _say(request, 200, {"errors": [], "warnings": []})
        elif path == "api/repos/create":
            self._create(request, json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = [self._place(one) for one in json.loads(body)["objects"]]
            _say(request, 200, {"transfer": "basic", "objects": objects})
        else:
            _, _, owner, name, *more = path.split("/")
            self._answer_for(request, f"{owner}/{name}", "/".join(more[:1]), body)

    def _create(self, request: BaseHTTPRequestHandler, asked: Mapping[str, Any]) -> None:
        repo = f"{asked['organization']}/{asked['name']}"
        if repo in self.models:
            _say(request, 409, {"error": "exists", "url": f"{self.url}/{repo}"})
        else:
            self.models[repo] = Model(private=asked.get("visibility") == "private")
            _say(request, 200, {"url": f"{self.url}/{repo}"})

    def _place(self, one: Mapping[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.url}/large/{one['oid']}"}
        return {"oid": one["oid"], "size": one["size"], "actions": {"upload": upload}}

    def _answer_for(
        self, request: BaseHTTPRequestHandler, repo: str, verb: str, body: bytes
    ) -> None:
        model = self.models[repo]
        if verb == "preupload":
            files = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["size"] >= LINKED_BYTES else "regular",
                    "shouldIgnore": False,
                }
                for one in json.loads(body)["files"]
            ]
            _say(request, 200, {"files": files})
        elif verb == "tree":
            tree = [
                {"type": "file", "path": path, "size": len(data), "oid": "0" * 40}
                for path, data in model.files.items()
            ]
            _say(request, 200, tree)
        elif verb == "commit":
            for line in map(json.loads, body.splitlines()):
                self._commit(model, line["key"], line["value"])
            oid = hashlib.sha1(body, usedforsecurity=False).hexdigest()
            url = f"{self.url}/{repo}/commit/{oid}"
            _say(request, 200, {"success": True, "commitOid": oid, "commitUrl": url})
        else:
            _say(request, 200, {"id": repo, "private": model.private, "siblings": [], "tags": []})

    def _commit(self, model: Model, key: str, value: Mapping[str, Any]) -> None:
        if key == "header":
            model.messages.append(value["summary"])
        elif key == "file":
            model.files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            data = self.large[value["oid"]]
            assert hashlib.sha256(data).hexdigest() == value["oid"]
            model.files[value["path"]] = data
        elif key == "deletedFile":
            del model.files[value["path"]]


@contextmanager
def upload_server() -> Iterator[UploadServer]:
    """A Hub for `HF_ENDPOINT`, without repositories."""
    hub = UploadServer()
    with serving(hub.answer) as hub.url:
        yield hub


def _say(request: BaseHTTPRequestHandler, status: int, body: Any) -> None:
    data = json.dumps(body).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(data)
