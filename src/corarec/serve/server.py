"""The web server around the application: sockets, processes, signals."""

import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable

from transformers.utils.logging import disable_progress_bar

from corarec.errors import ArtifactError, ConfigError, StorageError
from corarec.extras import needs
from corarec.runs.layout import CONFIG
from corarec.serve.app import create_app
from corarec.serve.connections import PatientProtocol, allow_files
from corarec.serve.keys import read_keys
from corarec.serve.logs import log_as_json
from corarec.serve.metrics import FOLDER_VARIABLE
from corarec.serve.opening import open_store, store_of
from corarec.serve.service import Service
from corarec.serve.settings import ServeSettings

with needs("serve"):
    import uvicorn
    from starlette.types import ASGIApp
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

log = logging.getLogger(__name__)

SETTINGS = "CORAREC_SERVE_SETTINGS"
"""Hands the settings to the processes behind a port."""
GRACE = 3
"""Seconds beyond the drain after which open connections are cut."""
IDLE_SECONDS = 15
HUNG_SECONDS = 60
"""A process behind a port that says nothing for so long is replaced."""
WAITING_CONNECTIONS = 2_048


_failures: list[str] = []
"""Why the run of this process cannot be served."""


def make_app() -> ASGIApp:
    """Return the application of the process of a service that has one."""
    return _make(_end)


def make_worker() -> ASGIApp:
    """Return the application of one process behind a port of several."""
    log_as_json()
    return _make(lambda _: os._exit(STARTUP_FAILURE))


def _make(on_failure: Callable[[str], None]) -> ASGIApp:
    settings = ServeSettings.model_validate_json(os.environ[SETTINGS])
    allow_files(settings.connections)
    PatientProtocol.seconds = settings.body_seconds
    PatientProtocol.answer_seconds = settings.answer_seconds
    disable_progress_bar()
    return create_app(settings, Service(settings, on_failure=on_failure))


def _end(reason: str) -> None:
    _failures.append(reason)
    os.kill(os.getpid(), signal.SIGTERM)


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
        # From here on who connects waits and is not refused.
        listening.listen(WAITING_CONNECTIONS)
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
    run, beside = settings.run, settings.beside
    for each in filter(None, (run, beside)):
        if not each.is_file() and not (each / CONFIG).is_file():
            raise ConfigError(
                f"{each} is no run: it has no {CONFIG}. Make one with `corarec train`, or name the "
                ".zip of a packed one."
            )
    if beside is not None and beside.samefile(run):
        raise ConfigError(f"--beside names {beside}, which is the run itself. Name another one.")
    read_keys(settings.keys)
    url = settings.store or store_of(run)
    open_store(url).close()
    return settings.model_copy(update={"store": url})


def serve(settings: ServeSettings, listening: socket.socket) -> None:
    """Serve until a signal ends it.

    Raises
    ------
    ArtifactError
        The run cannot be opened.
    """
    several = settings.workers > 1
    config = uvicorn.Config(
        f"{__name__}:{(make_worker if several else make_app).__name__}",
        factory=True,
        workers=settings.workers,
        lifespan="on",
        loop="asyncio",
        http=PatientProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.connections,
        backlog=WAITING_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=int(settings.drain_seconds) + GRACE,
        timeout_worker_healthcheck=HUNG_SECONDS,
        h11_max_incomplete_event_size=64_000,
    )
    os.environ[SETTINGS] = settings.model_dump_json()
    log_as_json()
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server raises its signal once more when it has ended; that is no news then.
        signal.signal(number, lambda *_: None)
    if not several:
        uvicorn.Server(config).run(sockets=[listening])
        if _failures:
            raise ArtifactError(_failures[0])
        return
    with tempfile.TemporaryDirectory(prefix="corarec-serve-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        processes = Multiprocess(config, sockets=[listening])
        processes.run()
    if any(each.exitcode == STARTUP_FAILURE for each in processes.processes):
        raise ArtifactError(f"{settings.run} cannot be served; the log says why.")
