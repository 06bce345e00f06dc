"""What a service can be told, and its limits."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from corarec.types import Config

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]

LONGEST_ID = 200
"""Characters of a raw id."""
LONGEST_TITLE = 1_000
"""Characters of a title."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_LIMITS = {
    "run",
    "data",
    "beside",
    "host",
    "port",
    "workers",
    "store",
    "adopt_store",
    "keys",
    "allow_origins",
    "allow_hosts",
}
"""Settings that say what is served where: nothing for clients."""


class ServeSettings(Config):
    """How a run is served; every worker process has the same."""

    run: Path
    """The run folder, or the archive of a packed run."""
    data: Path | None = None
    """Where the run's dataset is now."""
    beside: Path | None = None
    """Another run of the same dataset, for the page to show beside it."""
    host: str = "127.0.0.1"
    """The address to listen at."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """0: a free one."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes behind the port; each holds the model."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of the scoring; as many as torch chooses by itself."""
    store: str | None = None
    """`sqlite:///FILE` or `postgresql://...`; by default a file in the run's folder."""
    adopt_store: bool = False
    """Take a store that was told of another dataset, where ids mean the same in both."""
    keys: Path | None = None
    """The file with the hashes of API keys; without one everybody may ask."""
    allow_origins: tuple[str, ...] = ()
    """Origins of other pages that browsers may let ask (CORS)."""
    allow_hosts: tuple[str, ...] = ()
    """Names by which the service may be asked; without any: at the loopback address its own names,
    elsewhere every one."""

    deadline_seconds: Seconds = 30.0
    """A request that is not answered by then is dropped: 504."""
    drain_seconds: Seconds = 25.0
    """After SIGTERM, open requests have so long."""
    body_seconds: Seconds = 10.0
    """So long may the head of a request take to arrive, and then its body: 408."""
    answer_seconds: Seconds = 60.0
    """So long may a client take to read an answer; then the connection is cut."""
    body_bytes: Annotated[int, Field(ge=1_024, le=1 << 30)] = 2_000_000
    """A larger body: 413."""
    bodies_bytes: Annotated[int, Field(ge=1_024, le=1 << 40)] = 128_000_000
    """Bodies of all requests in hand together; beyond: 429."""
    queue_requests: Count = 512
    """Requests that wait or are scored; one more: 429."""
    queue_pairs: Count = 50_000
    """Pairs that wait or are scored; beyond: 429."""
    request_pairs: Count = 1_000
    """Pairs or items of one request; more: 413."""
    request_events: Count = 1_000
    """Events of one request; more: 413."""
    request_explained: Count = 5
    """Items that one request may have explained; more: 413."""
    batch_tokens: Annotated[int, Field(ge=1, le=10_000_000)] = 4_096
    """Tokens of one forward pass, padding included."""
    connections: Count = 2_048
    """Open connections; one more: 503."""
    added_items: Annotated[int, Field(ge=0, le=1_000_000)] = 100_000
    """Items that can be added while it runs; more: 507."""
    keep_shown_days: Annotated[float, Field(gt=0, le=36_500)] = 90.0
    """What was shown is kept so long."""
    keep_events_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    """Events are kept so long; without a number for good."""

    def limits(self) -> dict[str, float | None]:
        """Return the limits by their names: what clients may be told."""
        return self.model_dump(exclude=NO_LIMITS)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names by which the service may be asked; none: by every one."""
        if self.allow_hosts:
            return self.allow_hosts
        return LOOPBACK if self.host in LOOPBACK else ()
