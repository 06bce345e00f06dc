"""What goes wrong with a request, as the client is told it."""

from typing import Any


class Problem(Exception):  # noqa: N818 - the word of HTTP for it
    """An answer that is no result.

    Parameters
    ----------
    status
        The HTTP status.
    code
        A short name that does not change, for programs.
    message
        What came, what was wanted, what to do next.
    retry_after
        Seconds after which to try again, where that may help.
    """

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Return the headers that go with it."""
        if self.retry_after is None:
            return {}
        return {"Retry-After": str(max(1, round(self.retry_after)))}

    def body(self, request_id: str, details: Any = None) -> dict[str, Any]:
        """Return the JSON document that is sent."""
        body = {"error": self.code, "message": self.message, "request_id": request_id}
        return body if details is None else body | {"details": details}


def unprocessable(message: str) -> Problem:
    """Return the problem of a request that is understood and cannot be answered."""
    return Problem(422, "invalid", message)


def too_large(message: str) -> Problem:
    """Return the problem of a request beyond a limit of size."""
    return Problem(413, "too_large", message)
