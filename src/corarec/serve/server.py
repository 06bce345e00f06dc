"""The web server around the application: sockets, processes, signals."""

import logging
import os
import socket
import tempfile

from corarec.errors import ConfigError, StorageError
from corarec.extras import needs
from corarec.runs.layout import CONFIG
from corarec.serve.app import create_app
from corarec.serve.keys import read_keys
from corarec.serve.logs import log_as_json
from corarec.serve.metrics import FOLDER_VARIABLE
from corarec.serve.opening import open_store, store_of
from corarec.serve.settings import ServeSettings

with needs("serve"):
    import uvicorn
    from starlette.types import ASGIApp
    from uvicorn.supervisors import Multiprocess

log = logging.getLogger(__name__)

SETTINGS = "CORAREC_SERVE_SETTINGS"
"""Hands the settings to the processes behind a port."""
GRACE = 3
"""Seconds beyond the drain after which open connections are cut."""
IDLE_SECONDS = 15
WAITING_CONNECTIONS = 2_048


def make_app() -> ASGIApp:
    """Return the application of one process behind a port."""
    log_as_json()
    return create_app(ServeSettings.model_validate_json(os.environ[SETTINGS]))


def bind(settings: ServeSettings) -> socket.socket:
    """Return a socket that listens at the address.

    Raises
    ------
    StorageError
        The address is in use or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise StorageError(
            f"{settings.host} port {settings.port}: {os.strerror(error.errno or 0) or error}. "
            "Choose another --port (0: a free one), or an address of this machine for --host."
        ) from error
    listening.set_inheritable(True)
    return listening


def address(listening: socket.socket) -> str:
    """Return the address of a socket, as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check(settings: ServeSettings) -> ServeSettings:
    """See that it can be served, make the store, and return the settings with its name.

    Raises
    ------
    ArtifactError, ConfigError, StorageError
        The folder is no run, the file of keys or the store cannot be used.
    """
    run = settings.run
    if not run.is_file() and not (run / CONFIG).is_file():
        raise ConfigError(
            f"{run} is no run: it has no {CONFIG}. Make one with `corarec train`, or name the .zip "
            "of a packed one."
        )
    read_keys(settings.keys)
    url = settings.store or store_of(run)
    open_store(url).close()
    return settings.model_copy(update={"store": url})


def serve(settings: ServeSettings, listening: socket.socket) -> bool:
    """Serve until a signal ends it, and return whether it went well."""
    config = uvicorn.Config(
        f"{__name__}:make_app",
        factory=True,
        workers=settings.workers,
        lifespan="on",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.connections,
        backlog=WAITING_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=int(settings.drain_seconds) + GRACE,
        timeout_worker_healthcheck=60,
        h11_max_incomplete_event_size=64_000,
    )
    os.environ[SETTINGS] = settings.model_dump_json()
    log_as_json()
    with tempfile.TemporaryDirectory(prefix="corarec-serve-") as folder:
        server = uvicorn.Server(config)
        if settings.workers == 1:
            server.run(sockets=[listening])
            return server.started
        os.environ[FOLDER_VARIABLE] = folder
        Multiprocess(config, sockets=[listening]).run()
    return True
