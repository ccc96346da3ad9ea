"""The web application: a page, and what it asks for, behind a token and a check of the host."""

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from flows.browse.query import Query, Slice
from flows.browse.room import Room
from flows.pages import render
from flows.pages.server import guarded
from storage.errors import DistilleryError, UserError
from tasks.text.alignment import align

_PAGE: Final = Path(__file__).with_name("browse.html")
_MAX_BODY_BYTES: Final = 1 << 20
_MAX_CHANGES: Final = 1_000


class Change(BaseModel):
    """A mark for a row; null: none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: int
    mark: Literal["exclude", "keep"] | None


class Changes(BaseModel):
    """What a listener decides at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    changes: tuple[Change, ...]


def make_app(room: Room, token: str, host: str) -> ASGIApp:
    """The application below `/TOKEN/`, for a server that listens on `host`.

    Everything else is refused: paths without the token, and requests whose Host header is neither
    an address nor this machine, as after DNS rebinding.
    """
    app = Starlette(
        routes=[Mount(f"/{token}", routes=_routes(room))],
        exception_handlers={
            HTTPException: _refused,
            ValidationError: _invalid,
            DistilleryError: _failed,
            OSError: _failed,
        },
    )
    return guarded(app, token, {}, host)


def _routes(room: Room) -> list[Route]:
    def page(request: Request) -> Response:
        return HTMLResponse(render(_PAGE, {"title": room.title}))

    def summary(request: Request) -> Response:
        marks = list(room.marked().values())
        return JSONResponse(
            {
                "total": len(room.index),
                "counts": room.index.counts(),
                "marks": {name: marks.count(name) for name in ("exclude", "keep")},
                "units": dict(room.units),
                "advice": room.advice,
            }
        )

    def rows(request: Request) -> Response:
        asked = dict(request.query_params)
        part = Slice.model_validate(
            {name: asked.pop(name) for name in ("offset", "limit") if name in asked}
        )
        marked = room.marked()
        found = room.index.find(Query.model_validate(asked), marked)
        shown = room.index.shown(found[part.offset : part.offset + part.limit], marked)
        return JSONResponse({"total": len(found), "offset": part.offset, "rows": shown})

    def utterance(request: Request) -> Response:
        return JSONResponse(_described(room, _row(request, room)))

    def audio(request: Request) -> Response:
        row = room.index.row(_row(request, room))
        if row["file"] is None:
            raise HTTPException(404, f"{row['id']} has no audio: {row['stage']} {row['reason']}")
        data = room.audio.read(row["file"], row["row_group"], row["id"])
        return Response(data, media_type="audio/flac")

    async def mark(request: Request) -> Response:
        changes = Changes.model_validate_json(await _body(request)).changes
        if len(changes) > _MAX_CHANGES or any(
            not 0 <= one.row < len(room.index) for one in changes
        ):
            raise HTTPException(400, f"expected at most {_MAX_CHANGES} rows of the index")
        return JSONResponse(_marked(room, changes))

    return [
        Route("/", page),
        Route("/summary", summary),
        Route("/rows", rows),
        Route("/utterances/{row:int}", utterance),
        Route("/audio/{row:int}", audio),
        Route("/marks", mark, methods=["POST"]),
    ]


def _described(room: Room, number: int) -> dict[str, Any]:
    """All that the page shows of one utterance."""
    row, marked = room.index.row(number), room.marked()
    chunks = align(row["reference"] or "", row["hypothesis"] or "")
    members = room.index.window(row)
    return {
        **row,
        "row": number,
        "mark": marked.get(number),
        "unit": room.units.get(row["corpus"], "window"),
        "alignment": [
            {"kind": one.kind, "reference": one.reference, "hypothesis": one.hypothesis}
            for one in chunks
        ],
        "window": [
            {"row": one, "id": room.index.row(one)["id"], "mark": marked.get(one)}
            for one in members
        ],
    }


def _marked(room: Room, changes: tuple[Change, ...]) -> dict[str, Any]:
    """Set marks; returns those that the rows had before, and have now."""
    rows = {one.row: room.index.row(one.row) for one in changes}
    keys = {number: (str(row["corpus"]), str(row["id"])) for number, row in rows.items()}
    before = room.marks.change([(keys[one.row], one.mark) for one in changes])
    now = room.marked()
    return {
        "before": [{"row": number, "mark": before[key]} for number, key in keys.items()],
        "now": [{"row": number, "mark": now.get(number)} for number in keys],
    }


def _row(request: Request, room: Room) -> int:
    number = int(request.path_params["row"])
    if number >= len(room.index):
        raise HTTPException(404, f"no row {number}; the index has {len(room.index)}")
    return number


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "expected application/json")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_BODY_BYTES:
            raise HTTPException(413, f"expected at most {_MAX_BODY_BYTES} bytes")
    return body


def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"error": getattr(error, "detail", "")}, status)


def _invalid(request: Request, error: Exception) -> Response:
    mistakes = error.errors() if isinstance(error, ValidationError) else []
    told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in mistakes)
    return JSONResponse({"error": told}, 400)


def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400 if isinstance(error, UserError) else 500)
