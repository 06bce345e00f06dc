"""A run behind several replicas of Ray Serve, on as many machines as the cluster has.

Every replica is a service of its own, with the model in its memory: each follows the store, as the
processes of `corarec serve --workers` do, so that whoever answers knows what any of them was told.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from transformers.utils.logging import disable_progress_bar

from corarec.errors import ConfigError
from corarec.extras import needs
from corarec.serve.app import create_app
from corarec.serve.logs import log_as_json
from corarec.serve.server import check
from corarec.serve.service import Service
from corarec.serve.settings import ServeSettings

with needs("ray"):
    import ray
    from ray import serve
    from starlette.types import ASGIApp

OF_RAY = ("host", "port", "workers")
"""What Ray Serve has options of its own for."""
DEPLOYMENT = "corarec"

_services: list[Service] = []
"""The service of this replica."""


def build(arguments: Mapping[str, Any]) -> serve.Application:
    """Return the application that `serve run corarec.serve.ray_serve:build` starts.

    Parameters
    ----------
    arguments
        `run` and any other setting of the service by its name; of several replicas the same store
        must be reached by all. How many there are, and what each has, is an option of the
        deployment in the file that `serve deploy` takes.

    Raises
    ------
    ArtifactError, ConfigError, StorageError
        A setting is none, the folder is no run, the file of keys or the store cannot be used.
    """
    if foreign := [name for name in OF_RAY if name in arguments]:
        raise ConfigError(
            f"{foreign[0]} is an option of Ray Serve (http_options or num_replicas), not one of "
            "the arguments. Leave it out there."
        )
    settings = check(ServeSettings.parse(dict(arguments), "the arguments of Ray Serve"))
    if settings.store is not None and settings.store.startswith("sqlite") and _machines() > 1:
        raise ConfigError(
            "The cluster has several machines, and a file of SQLite is shared by the processes of "
            "one alone. Name a database of Postgres: store: postgresql://..."
        )
    return application(settings)


def application(settings: ServeSettings, **options: Any) -> serve.Application:
    """Return the application of checked settings, with options of its deployment."""
    told = {
        "name": DEPLOYMENT,
        "ray_actor_options": {"num_cpus": settings.threads or 1},
        "max_ongoing_requests": settings.connections,
        "graceful_shutdown_timeout_s": settings.drain_seconds,
        "health_check_period_s": 10,
    }
    replica = serve.ingress(_maker(settings))(Replica)
    return serve.deployment(**told | options)(replica).bind()


class Replica:
    """One process of the service, as Ray Serve sees it."""

    async def check_health(self) -> None:
        """See that it is worth keeping; Ray starts it anew where this raises.

        The first time Ray waits for it before it sends requests: until the run is loaded.

        Raises
        ------
        RuntimeError
            The run cannot be served, or its scoring hangs.
        """
        for service in _services:
            while service.loading:
                await asyncio.sleep(0.1)
            if reason := service.failure or service.hangs():
                raise RuntimeError(reason)


def _maker(settings: ServeSettings) -> Callable[[], ASGIApp]:
    """Return what makes the application within the replica."""

    def make() -> ASGIApp:
        # This function is sent to the replica with copies of what it names, but those that have a
        # name in a module are looked up there: what is made has to be noted where it is looked for.
        return _make(settings)

    return make


def _make(settings: ServeSettings) -> ASGIApp:
    log_as_json()
    disable_progress_bar()
    service = Service(settings)
    _services.append(service)
    return create_app(settings, service)


def _machines() -> int:
    """Return how many machines the cluster has; 1 where none is connected yet."""
    if not ray.is_initialized():
        return 1
    return len({node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]})
