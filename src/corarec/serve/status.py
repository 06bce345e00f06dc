"""The figures of the page about the service itself, read from what it counts."""

import math
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from corarec.extras import needs
from corarec.serve.service import Service

with needs("serve"):
    from prometheus_client.parser import text_string_to_metric_families

QUANTILES = (0.5, 0.95, 0.99)
HIDDEN = ("/health", "/metrics", "/static", "/status", "unmatched")
"""Routes that nobody waits for."""
_PREFIX = "corarec_"


class Route(NamedTuple):
    """How long the answers of a route took."""

    name: str
    answers: int
    quantiles: list[float | None]
    """Seconds, as of `QUANTILES`; None: beyond the largest bucket."""


Samples = dict[str, list[tuple[dict[str, str], float]]]


def figures(service: Service) -> dict[str, Any]:
    """Return what the page shows; also while the run is not loaded."""
    samples = _samples(service.metrics.text())
    requests, pairs = _total(samples, "queue_requests"), _total(samples, "queue_pairs")
    statuses: dict[str, int] = {}
    for labels, count in samples.get("requests_total", []):
        if not labels["route"].startswith(HIDDEN):
            group = f"{labels['status'][0]}xx" if labels["status"].isdigit() else labels["status"]
            statuses[group] = statuses.get(group, 0) + int(count)
    seconds = _total(samples, "scoring_seconds_sum")
    scored = _total(samples, "scored_pairs_total")
    return {
        "trouble": service.trouble(),
        "store": service.store_state(),
        "up_seconds": max(0, int(time.time() - _total(samples, "start_time_seconds", least=True))),
        "queue": {
            "requests": int(requests),
            "pairs": int(pairs),
            "most_requests": service.settings.queue_requests,
            "most_pairs": service.settings.queue_pairs,
        },
        "routes": _routes(samples),
        "quantiles": QUANTILES,
        "statuses": dict(sorted(statuses.items())),
        "refused": int(_total(samples, "queue_refused_total")),
        "late": int(_total(samples, "deadline_missed_total")),
        "left": int(_total(samples, "clients_gone_total")),
        "scored": int(scored),
        "rate": scored / seconds if seconds else None,
        "waited": _quantiles(_buckets(samples, "queue_seconds", None)),
        "written": _quantiles(_buckets(samples, "store_write_seconds", None)),
        "events": {labels["kind"]: int(count) for labels, count in samples.get("events_total", [])},
        "about": service.about(),
    }


def _samples(text: bytes) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            name = sample.name.removeprefix(_PREFIX)
            found.setdefault(name, []).append((dict(sample.labels), float(sample.value)))
    return found


def _total(samples: Samples, name: str, *, least: bool = False) -> float:
    values = [value for _, value in samples.get(name, [])]
    return min(values, default=0.0) if least else sum(values)


def _routes(samples: Samples) -> list[Route]:
    names = {labels["route"] for labels, _ in samples.get("request_seconds_count", [])}
    found = []
    for name in sorted(names):
        if not name.startswith(HIDDEN):
            buckets = _buckets(samples, "request_seconds", name)
            found.append(Route(name, int(buckets[-1][1]), _quantiles(buckets)))
    return sorted(found, key=lambda route: -route.answers)


def _buckets(samples: Samples, name: str, route: str | None) -> list[tuple[float, float]]:
    """Return upper ends and how many were at most as long."""
    counts: dict[float, float] = {}
    for labels, count in samples.get(f"{name}_bucket", []):
        if route is None or labels.get("route") == route:
            end = float(labels["le"])
            counts[end] = counts.get(end, 0.0) + count
    return sorted(counts.items()) or [(math.inf, 0.0)]


def _quantiles(buckets: list[tuple[float, float]]) -> list[float | None]:
    return [quantile(buckets, share) for share in QUANTILES]


def quantile(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    """Return a quantile of counts that grow along their upper ends, even within each of them.

    None where nothing was counted, or it lies beyond the last end.
    """
    ends = list(buckets)
    wanted = share * ends[-1][1]
    if not wanted:
        return None
    lower = below = 0.0
    for end, count in ends:
        if count >= wanted:
            if math.isinf(end):
                return None
            return lower + (end - lower) * (wanted - below) / (count - below)
        lower, below = end, count
    return None
