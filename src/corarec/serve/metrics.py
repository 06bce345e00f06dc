"""What the service counts, for Prometheus."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from corarec.extras import needs

with needs("serve"):
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        generate_latest,
        multiprocess,
    )
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Set where several processes count together."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_TOKENS = (128, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536)


Mode = Literal["livesum", "livemin", "livemax"]
"""What several processes say together."""


class Metrics:
    """The counters of one service; of all its processes where there are several."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"corarec_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, mode: Mode = "livesum") -> Gauge:
            return Gauge(f"corarec_{name}", text, registry=registry, multiprocess_mode=mode)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"corarec_{name}", text, labels, registry=registry, buckets=buckets)

        self.requests = counter("requests", "Answered requests.", "method", "route", "status")
        self.request_seconds = histogram(
            "request_seconds", "From a request's head to its answer.", _SECONDS, "route"
        )
        self.refused = counter("queue_refused", "Requests refused with 429: the queue was full.")
        self.late = counter("deadline_missed", "Requests dropped with 504 at their deadline.")
        self.gone = counter("clients_gone", "Requests dropped because their client went away.")
        self.queue_requests = gauge("queue_requests", "Requests that wait or are scored.")
        self.queue_pairs = gauge("queue_pairs", "Pairs of these requests.")
        self.queue_seconds = histogram("queue_seconds", "Wait in the queue.", _SECONDS)
        self.batch_pairs = histogram("batch_pairs", "Pairs of a forward pass.", _COUNTS)
        self.batch_tokens = histogram("batch_tokens", "Tokens of a joint batch, padded.", _TOKENS)
        self.scoring_seconds = histogram("scoring_seconds", "Time of a forward pass.", _SECONDS)
        self.scored = counter("scored_pairs", "Pairs scored.")
        self.events = counter("events", "Events that were new to the store.", "kind")
        self.store_seconds = histogram("store_write_seconds", "Time of a commit.", _SECONDS)
        self.store_up = gauge("store_up", "1 where the last use of the store went well.", "livemin")
        self.shown_lost = counter("shown_lost", "Lists whose record the store did not take.")
        self.ready = gauge("ready", "1 where /health/ready says 200.", "livemin")
        self.stalled = gauge("scoring_step_seconds", "Age of the step in hand.", "livemax")
        self.started = gauge("start_time_seconds", "When the process started, UTC.", "livemin")
        self.started.set(time.time())

    def text(self) -> bytes:
        """Return all of them in the text format."""
        if os.environ.get(FOLDER_VARIABLE):
            _leave_out_the_dead(Path(os.environ[FOLDER_VARIABLE]))
            together = CollectorRegistry()
            multiprocess.MultiProcessCollector(together)
            return generate_latest(together)
        return generate_latest(self._registry)


def _leave_out_the_dead(folder: Path) -> None:
    """Forget how processes are that ended, such as that they were not ready; counts stay."""
    for number in {file.stem.rpartition("_")[2] for file in folder.glob("gauge_live*_*.db")}:
        if not _runs(int(number)):
            # Another process may have done so in this moment.
            with suppress(FileNotFoundError):
                multiprocess.mark_process_dead(int(number), str(folder))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
