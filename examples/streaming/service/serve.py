"""Serve an ONNX model in step form over HTTP; the states of each stream stay on the server.

    rnnspec build forecast.yaml --backend onnx --form step --seed 1 -o forecast.onnx
    python service/serve.py forecast.onnx --port 8000

One process holds all sessions. It runs the chunks of a session one after another, and those of
several sessions side by side.
"""

import argparse
import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from model import RefusedError, StepModel, open_model
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, create_model
from sessions import Limits, Sessions

Kind = TypeVar("Kind", bound="Body")

LONGEST_SHUTDOWN = 3
"""Seconds that requests have to end after Ctrl-C."""


class Body(BaseModel):
    """A request; unknown keys are refused by ``read``, which names the first one only."""

    model_config = ConfigDict(strict=True, extra="allow")


class Batch(Body):
    """The number of sequences that a session runs side by side."""

    batch: int = 1


class Opened(BaseModel):
    """A new session; it is deleted after ``idle`` seconds without a chunk."""

    session: str
    batch: int
    idle: float


class Answer(BaseModel):
    """The output for the steps so far, and their number."""

    output: list[Any] | dict[str, list[Any]]
    steps: int


def create_app(path: str, limits: Limits) -> FastAPI:
    """Return the service of the model in a file."""
    model = open_model(path)
    sessions = Sessions(model, limits)
    chunk = chunk_type(model, limits)
    app = FastAPI(title=model.name, description=f"The network {model.name}, chunk by chunk.")
    _limit_bodies(app, limits.body)

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return _answer(error.status, str(error))

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "model": model.name, "sessions": sessions.count()}

    @app.post("/sessions", status_code=201, openapi_extra=_documented(Batch))
    async def create(request: Request) -> Opened:
        wanted = await read(request, Batch, empty=Batch())
        made = sessions.create(wanted.batch)
        return Opened(session=made.key, batch=made.batch, idle=limits.idle)

    @app.post("/sessions/{key}/chunks", openapi_extra=_documented(chunk))
    async def step(key: str, request: Request) -> Answer:
        # Parsing a million lists would hold the interpreter for a second, and stall all others.
        lists = (await request.body()).count(b"[")
        if lists > 1 + limits.batch * (1 + limits.steps):
            most = f"{limits.batch} sequences of {limits.steps} steps"
            raise RefusedError(413, f"expected at most {most}, received {lists} lists")
        given = await read(request, chunk)
        output, steps = await sessions.step(key, given.inputs, given.start)
        if isinstance(output, dict):
            by_head = {name: values.tolist() for name, values in output.items()}
            return Answer(output=by_head, steps=steps)
        return Answer(output=output.tolist(), steps=steps)

    @app.delete("/sessions/{key}", status_code=204)
    async def delete(key: str) -> None:
        await sessions.delete(key)

    return app


def chunk_type(model: StepModel, limits: Limits) -> type[Body]:
    """Return the type of a chunk, whose check ends at the first thing that is wrong.

    A body of a few megabytes can hold a million faults, and a list of them takes seconds.
    """
    item: Any = int
    if not model.vocabulary:
        item = Annotated[list[float], FailFast(), Field(max_length=model.features)]
    steps = Annotated[list[item], FailFast(), Field(max_length=limits.steps)]
    sequences = Annotated[list[steps], FailFast(), Field(max_length=limits.batch)]
    return create_model(
        "Chunk",
        __base__=Body,
        inputs=(sequences, Field(description="batch, steps, and features unless they are tokens")),
        start=(int | None, Field(None, description="the number of steps before this chunk")),
    )


async def read(request: Request, kind: type[Kind], empty: Kind | None = None) -> Kind:
    """Return the body of a request, parsed beside the event loop.

    Args:
        request: the request.
        kind: the type of its body.
        empty: what no body at all stands for, if that is allowed.

    Raises:
        RefusedError: the body is not JSON, or not of this type.
    """
    body = await request.body()
    if not body and empty is not None:
        return empty
    if "json" not in request.headers.get("content-type", ""):
        raise RefusedError(422, "expected JSON, with the header Content-Type: application/json")
    return await asyncio.to_thread(_parse, body, kind)


def _parse(body: bytes, kind: type[Kind]) -> Kind:
    try:
        found = kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _refusal(first) from None
    for key in found.model_extra or ():
        raise RefusedError(422, f"{key[:40]}: extra inputs are not permitted")
    return found


def _refusal(error: Any) -> RefusedError:
    place = error["loc"]
    match error["type"], len(place):
        case "json_invalid", _:
            return RefusedError(
                422, "expected JSON, with the header Content-Type: application/json"
            )
        case "too_long", (1 | 2 | 3) as depth:
            most, number = error["ctx"]["max_length"], error["ctx"]["actual_length"]
            noun = ("sequences in a batch", "steps in a chunk", "features at each step")[depth - 1]
            end = "; send several" if depth == 2 else ""
            status = 413 if depth == 2 else 422
            return RefusedError(status, f"expected at most {most} {noun}, received {number}{end}")
        case _:
            words = f"{error['msg'][:1].lower()}{error['msg'][1:]}"
            return RefusedError(422, f"{'.'.join(map(str, place)) or 'body'}: {words}")


def _documented(kind: type[Body]) -> dict[str, Any]:
    """Return the description of a body for the page of the service, /docs."""
    return {"requestBody": {"content": {"application/json": {"schema": kind.model_json_schema()}}}}


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


def _answer(status: int, sentence: str) -> Response:
    return JSONResponse({"detail": sentence}, status)


def answering_to_the_end(app: FastAPI) -> Any:
    """Wrap an application, so that a request that Ctrl-C cuts short is answered too."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        started = False

        async def noted(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await app(scope, receive, noted)
        except asyncio.CancelledError:
            if scope["type"] == "http" and not started:
                await _answer(503, "the service has been stopped")(scope, receive, send)

    return wrapped


def main() -> None:
    """Read the command line, and serve until the process is stopped."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a file of rnnspec build --backend onnx --form step")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port, default=8000, help="0 takes a free one")
    standard = Limits()
    parser.add_argument(
        "--sessions", type=count, default=standard.sessions, help="at the same time"
    )
    parser.add_argument(
        "--idle", type=seconds, default=standard.idle, help="seconds until deletion"
    )
    parser.add_argument(
        "--batch", type=count, default=standard.batch, help="sequences of a session"
    )
    parser.add_argument("--steps", type=count, default=standard.steps, help="in one chunk")
    parser.add_argument("--body", type=count, default=standard.body, help="bytes of one request")
    options = vars(parser.parse_args())
    path, host, number = (options.pop(name) for name in ("model", "host", "port"))
    try:
        app = create_app(path, Limits(**options))
    except ValueError as error:
        parser.error(str(error))
    uvicorn.run(
        answering_to_the_end(app),
        host=host,
        port=number,
        timeout_graceful_shutdown=LONGEST_SHUTDOWN,
    )


def count(text: str) -> int:
    """Return a positive integer that was given as an option."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"expected a positive integer, received {text!r}")
    return int(text)


def port(text: str) -> int:
    """Return the number of a port."""
    if not (text.isascii() and text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, received {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Return a positive, finite number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(
            f"expected a positive number of seconds, received {text!r}"
        )
    return number


if __name__ == "__main__":
    main()
