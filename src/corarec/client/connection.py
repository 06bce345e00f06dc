"""Requests to a service: its address and key, waiting where it is busy, its errors as ours."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from corarec.errors import ConfigError, CorarecError, DataError, ServiceError
from corarec.extras import needs

MISTAKES: dict[int, type[CorarecError]] = {401: ConfigError, 403: ConfigError, 421: ConfigError}
"""What is no mistake in the data that were sent."""
BUSY = (429, 503)
LATE = 504
"""It may have been written or not."""
LOST_SECONDS = 1.0
"""After so long a request is sent again whose answer was lost."""
LONGEST_WAIT = 30.0
"""Seconds between two attempts, whatever the service asks for."""


class Connection:
    """Where a service is found, and how it is asked; see `Client` for the parameters.

    Raises
    ------
    ConfigError
        The address is none, a number is not as wanted, or httpx is not installed.
    """

    def __init__(
        self, url: str, key: str | None, timeout: float, retry_seconds: float, transport: Any
    ) -> None:
        with needs("client"):
            import httpx
        if not (0 < timeout < math.inf and 0 <= retry_seconds < math.inf):
            raise ConfigError(
                f"timeout is {timeout!r} and retry_seconds {retry_seconds!r}; wanted are seconds: "
                "more than 0, and at least 0."
            )
        try:
            there = bool(httpx.URL(url).host) and httpx.URL(url).scheme in ("http", "https")
        except (TypeError, httpx.InvalidURL):
            there = False
        if not there:
            raise ConfigError(
                f"The address is {url!r:.200}; wanted is one such as http://127.0.0.1:8000, which "
                "`corarec serve` prints."
            )
        if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key):
            raise ConfigError(
                "The key holds characters that no key of a service has. Copy it again."
            )
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(
            base_url=url.rstrip("/"), headers=headers, timeout=timeout, transport=transport
        )
        self._unreached = (httpx.HTTPError, httpx.InvalidURL)
        self._lost = (httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError)
        self._retry_seconds = retry_seconds
        self.sleep: Callable[[float], None] = time.sleep

    @property
    def url(self) -> str:
        """The address of the service."""
        return str(self._http.base_url)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def is_well(self, path: str) -> bool:
        """Return whether the service answers there, and without an error."""
        try:
            return bool(self._http.get(path).status_code == 200)
        except self._unreached:
            return False

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Send a request and return its result.

        It is sent again where the service is busy; with a key, which makes it count once, also
        where the answer is lost or late.

        Raises
        ------
        DataError
            What was asked is wrong, or cannot be sent as JSON.
        ConfigError
            The service wants another key, or name.
        ServiceError
            It does not answer, or not as a service does.
        """
        waited, lost = 0.0, False
        headers = {} if key is None else {"Idempotency-Key": key}
        busy = BUSY if key is None else (*BUSY, LATE)
        while True:
            try:
                answer = self._http.request(method, path, json=body, params=query, headers=headers)
            except (TypeError, ValueError, OverflowError) as error:
                raise DataError(f"That cannot be sent as JSON: {error}.") from error
            except self._unreached as error:
                # Once it was lost, the service may be on its way to come back.
                lost = lost or (key is not None and isinstance(error, self._lost))
                if lost and waited + LOST_SECONDS <= self._retry_seconds:
                    self.sleep(LOST_SECONDS)
                    waited += LOST_SECONDS
                    continue
                raise ServiceError(
                    f"{self.url} does not answer ({type(error).__name__}: {error}). "
                    "Check the address, and that `corarec serve` runs there."
                ) from error
            if answer.status_code == 200:
                return _document(answer)
            wait = _seconds(answer.headers.get("retry-after"))
            if answer.status_code not in busy or waited + wait > self._retry_seconds:
                raise _error(answer)
            self.sleep(wait)
            waited += wait


def _document(answer: Any) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ServiceError(f"{answer.url} answers, but not as a corarec service does.")
    return found


def _error(answer: Any) -> CorarecError:
    try:
        told = answer.json()
    except ValueError:
        told = None
    status = answer.status_code
    if not isinstance(told, dict) or not isinstance(told.get("message"), str):
        return ServiceError(f"{answer.url} answers with status {status} and no reason.")
    kind = MISTAKES.get(status, DataError if 400 <= status < 500 else ServiceError)
    if status in (408, *BUSY):
        kind = ServiceError
    return kind(told["message"])


def _seconds(text: str | None) -> float:
    """Return how long to wait; a second where that is not told as a number."""
    try:
        wanted = float(text or "")
    except ValueError:
        return 1.0
    return min(max(wanted, 0.1), LONGEST_WAIT) if math.isfinite(wanted) else 1.0
