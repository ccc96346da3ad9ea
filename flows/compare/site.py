"""What the server of the page answers: the page, its programs, models and recordings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from configs.schema import Label
from configs.version import installed_version
from flows.compare.assets import LIBRARY, RUNTIME
from flows.compare.models import WebModel
from flows.compare.recordings import Recording
from flows.pages import render
from flows.pages.server import Answer, Reply, Request

_HERE: Final = Path(__file__).parent
_SCRIPTS: Final = ("compare.js", "model.js", "results.js", "sound.js", "words.js", "worker.js")
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
    ".wav": "audio/wav",
}

POLICY: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self';"
    " style-src 'unsafe-inline'; img-src data:; media-src blob:; base-uri 'none'; form-action 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    # both are needed for threads, which share memory
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
"""Of every reply, because a worker has the policy of its own script's reply."""


def comparison_site(
    title: str,
    models: Sequence[WebModel],
    recordings: Sequence[Recording],
    assets: Mapping[str, Path],
    label: Label,
) -> Answer:
    """Answers for a page that compares `models`, of which the first is what others are held to."""
    page = render(
        _HERE / "compare.html",
        {"title": title, "policy": POLICY, "data": _data(models, recordings, label)},
    )
    files = {f"assets/{name}": path for name, path in assets.items()}
    for model in models:
        files |= {f"models/{model.name}/{name}": path for name, path in model.files.items()}
    files |= {name: _HERE / name for name in _SCRIPTS}
    spoken = {f"recordings/{number}.wav": one for number, one in enumerate(recordings)}

    def answer(request: Request) -> Reply | None:
        if request.path == "":
            return Reply(page.encode(), _TYPES[".html"])
        if (file := files.get(request.path)) is not None:
            return Reply(file, _TYPES[file.suffix])
        if (recording := spoken.get(request.path)) is not None:
            return Reply(recording.wav(), _TYPES[".wav"])
        return None

    return answer


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
