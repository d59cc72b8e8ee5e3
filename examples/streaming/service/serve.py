"""Serve an ONNX model in step form over HTTP; the states of each stream stay on the server.

    rnnspec build forecast.yaml --backend onnx --form step -o forecast.onnx
    python service/serve.py forecast.onnx --port 8000

One process holds all sessions. It runs the chunks of a session one after another, and those of
several sessions side by side.
"""

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from model import RefusedError, open_model
from pydantic import BaseModel, ConfigDict, Field, create_model
from sessions import Limits, Sessions


class Batch(BaseModel):
    """The number of sequences that a session runs side by side."""

    model_config = ConfigDict(strict=True, extra="forbid")
    batch: int = 1


class Opened(BaseModel):
    """A new session; it is deleted after ``idle`` seconds without a chunk."""

    session: str
    batch: int
    idle: float


class Answer(BaseModel):
    """The output for the steps so far, and their number."""

    output: list[Any]
    steps: int


def create_app(path: str, limits: Limits) -> FastAPI:
    """Return the service of the model in a file."""
    model = open_model(path)
    sessions = Sessions(model, limits)
    numbers = list[list[int]] if model.vocabulary else list[list[list[float]]]
    chunk: Any = create_model(
        "Chunk",
        __config__=ConfigDict(strict=True, extra="forbid"),
        inputs=(numbers, Field(description="batch, steps, and features unless they are tokens")),
        start=(int | None, Field(None, description="the number of steps before this chunk")),
    )
    app = FastAPI(title=model.name, description=f"The network {model.name}, chunk by chunk.")
    _limit_bodies(app, limits.body)
    _explain_errors(app)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "model": model.name, "sessions": sessions.count()}

    @app.post("/sessions", status_code=201)
    async def create(wanted: Batch | None = None) -> Opened:
        made = sessions.create(wanted.batch if wanted else 1)
        return Opened(session=made.key, batch=made.batch, idle=limits.idle)

    @app.post("/sessions/{key}/chunks")
    async def step(key: str, given: chunk) -> Answer:
        output, steps = await sessions.step(key, given.inputs, given.start)
        return Answer(output=output.tolist(), steps=steps)

    @app.delete("/sessions/{key}", status_code=204)
    async def delete(key: str) -> None:
        await sessions.delete(key)

    return app


def _limit_bodies(app: FastAPI, most: int) -> None:
    """Refuse requests with a body that is too long, or of a length that is not told."""

    @app.middleware("http")
    async def limit(
        request: Request, proceed: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if "transfer-encoding" in request.headers:
            return _answer(411, "expected a request with its Content-Length")
        length = int(request.headers.get("content-length", 0))
        if length > most:
            return _answer(413, f"expected at most {most} bytes, received {length}")
        return await proceed(request)


def _explain_errors(app: FastAPI) -> None:
    """Answer a request that is refused with its status and one sentence."""

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return _answer(error.status, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if "json" not in request.headers.get("content-type", "") or first["type"] == "json_invalid":
            return _answer(422, "expected JSON, with the header Content-Type: application/json")
        place = ".".join(map(str, first["loc"][1:])) or "body"
        return _answer(422, f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}")


def _answer(status: int, sentence: str) -> Response:
    return JSONResponse({"detail": sentence}, status)


def main() -> None:
    """Read the command line, and serve until the process is stopped."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a file of rnnspec build --backend onnx --form step")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    standard = Limits()
    parser.add_argument("--sessions", type=int, default=standard.sessions, help="at the same time")
    parser.add_argument("--idle", type=float, default=standard.idle, help="seconds until deletion")
    parser.add_argument("--batch", type=int, default=standard.batch, help="sequences of a session")
    parser.add_argument("--steps", type=int, default=standard.steps, help="in one chunk")
    parser.add_argument("--body", type=int, default=standard.body, help="bytes of one request")
    words = vars(parser.parse_args())
    path, host, port = (words.pop(name) for name in ("model", "host", "port"))
    try:
        app = create_app(path, Limits(**words))
    except ValueError as error:
        parser.error(str(error))
    uvicorn.run(app, host=host, port=port)


if __name__ == "__main__":
    main()
