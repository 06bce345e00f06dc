"""How the service is: for load balancers, Prometheus and people."""

from typing import Any

from corarec import __version__
from corarec.extras import needs
from corarec.serve import results
from corarec.serve.answers import RESPONSES, id_of, service_of
from corarec.serve.metrics import CONTENT_TYPE
from corarec.serve.service import Service

with needs("serve"):
    from fastapi import APIRouter, Request, Response
    from fastapi.responses import JSONResponse

health = APIRouter(tags=["health"])


@health.head("/health/live", include_in_schema=False)
@health.get("/health/live", response_model=results.HealthAnswer)
async def live(request: Request) -> Any:
    """Whether the process is worth keeping: 503 where it should be started anew."""
    service = service_of(request)
    reason = service.failure or service.hangs()
    return _health(service, "live" if reason is None else "hanging", reason)


@health.head("/health/ready", include_in_schema=False)
@health.get("/health/ready", response_model=results.HealthAnswer)
async def ready(request: Request) -> Any:
    """Whether requests are answered: 503 with the reason while loading, draining or hanging."""
    service = service_of(request)
    reason = service.trouble()
    return _health(service, "ready" if reason is None else "not ready", reason)


def _health(service: Service, status: str, reason: str | None) -> Response:
    answer = results.HealthAnswer(status=status, reason=reason, store=service.store_state())
    return JSONResponse(answer.model_dump(), 200 if reason is None else 503)


@health.get("/metrics")
async def metrics(request: Request) -> Response:
    """Counters for Prometheus."""
    return Response(service_of(request).metrics.text(), media_type=CONTENT_TYPE)


@health.get("/info", response_model=results.InfoAnswer, responses=RESPONSES)
async def info(request: Request) -> Any:
    """Say what is served, and within which limits."""
    service = service_of(request)
    service.check_open()
    return {
        "request_id": id_of(request),
        "version": __version__,
        "run": service.about(),
        "limits": service.settings.limits(),
        "store": service.store.kind,
    }
