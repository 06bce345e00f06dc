"""The application: routes, what every request passes, and its life."""

import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType

from corarec import __version__
from corarec.extras import needs
from corarec.serve.answers import tell_problems
from corarec.serve.health import health
from corarec.serve.keys import Keys, read_keys
from corarec.serve.middleware import Door
from corarec.serve.page import files, pages
from corarec.serve.page_forms import forms
from corarec.serve.routes import v1
from corarec.serve.service import Service
from corarec.serve.settings import ServeSettings

with needs("serve"):
    from fastapi import FastAPI
    from starlette.middleware.cors import CORSMiddleware
    from starlette.types import ASGIApp


def create_app(
    settings: ServeSettings, service: Service | None = None, keys: Keys | None = None
) -> ASGIApp:
    """Return the application of a run.

    Raises
    ------
    ConfigError
        The file of keys is not one.
    """
    service = service or Service(settings)
    keys = keys or read_keys(settings.keys)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        with _drained_by_signals(service):
            yield
        await service.stop()

    app = FastAPI(
        title="corarec",
        version=__version__,
        summary="A trained run, asked over HTTP.",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.state.keys = keys
    app.include_router(health)
    app.include_router(v1)
    app.include_router(pages)
    app.include_router(forms)
    app.include_router(files)
    tell_problems(app)
    inner: ASGIApp = app
    if settings.allow_origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=settings.allow_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "X-API-Key",
                "X-Request-ID",
            ],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    return Door(inner, settings=settings, keys=keys, metrics=service.metrics)


@contextmanager
def _drained_by_signals(service: Service) -> Iterator[None]:
    """Begin to drain at the signal that stops the server, before its own handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def drain(number: int, frame: FrameType | None) -> None:
        service.drain()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in before:
        signal.signal(number, drain)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
