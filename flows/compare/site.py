"""What the server of the page answers: the page, its scripts, models and recordings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from configs.schema import Label
from configs.version import installed_version
from flows.compare.assets import LIBRARY, RUNTIME
from flows.compare.models import WebModel
from flows.compare.recordings import Recording
from flows.pages import render
from flows.pages.server import guarded

_HERE: Final = Path(__file__).parent
_SCRIPTS: Final = ("compare.js", "model.js", "results.js", "sound.js", "words.js", "worker.js")
_TYPES: Final = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".onnx": "application/octet-stream",
    ".wasm": "application/wasm",
}

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self'",
        "connect-src 'self'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "media-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    # both are needed for threads, which share memory
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
"""Of every reply, because a worker has the policy of its own script's reply."""


def comparison_site(
    title: str,
    models: Sequence[WebModel],
    recordings: Sequence[Recording],
    assets: Mapping[str, Path],
    label: Label,
    token: str,
    *,
    max_threads: int = 8,
) -> ASGIApp:
    """A page that compares `models` with the first of them.

    A model runs in as many threads as the browser has cores, `max_threads` at most.
    """
    data = {**_data(models, recordings, label), "max_threads": max_threads}
    values = {"title": title, "policy": POLICY, "data": data}
    text = render(_HERE / "compare.html", values)
    files = {name: _HERE / name for name in _SCRIPTS}
    files |= {f"assets/{name}": path for name, path in assets.items()}
    for model in models:
        files |= {f"models/{model.name}/{name}": path for name, path in model.files.items()}

    def page(_: Request) -> Response:
        return HTMLResponse(text)

    def recording(request: Request) -> Response:
        number = int(request.path_params["number"])
        if number >= len(recordings):
            return _missing(request)
        return Response(recordings[number].wav(), media_type="audio/wav")

    def file(request: Request) -> Response:
        path = files.get(request.path_params["path"])
        if path is None:
            return _missing(request)
        return FileResponse(path, media_type=_TYPES[path.suffix])

    routes = [
        Route("/", page),
        Route("/recordings/{number:int}.wav", recording),
        Route("/{path:path}", file),
    ]
    app = Starlette(routes=[Mount(f"/{token}", routes=routes)])
    return guarded(app, token, HEADERS)


def _missing(request: Request) -> Response:
    return PlainTextResponse(f"no {request.url.path.rpartition('/')[2]} here\n", 404)


def _data(
    models: Sequence[WebModel], recordings: Sequence[Recording], label: Label
) -> dict[str, Any]:
    return {
        "dtype": models[0].dtype,
        "models": [
            {**one.described(label), "shares_encoder": number > 0 and one.has_encoder_of(models[0])}
            for number, one in enumerate(models)
        ],
        "recordings": [
            {"name": one.name, "reference": one.reference, "duration_s": one.duration_s}
            for one in recordings
        ],
        "versions": {
            "distillery": installed_version(),
            "transformers.js": LIBRARY.version,
            "onnxruntime-web": RUNTIME.version,
        },
    }
