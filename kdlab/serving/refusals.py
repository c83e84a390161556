"""Why a request gets no prediction: each with its HTTP status and a name for the metrics."""

from collections.abc import Mapping


class Refused(Exception):
    """A request that is not answered with a prediction.

    Args:
        status: of HTTP.
        reason: one word for the metrics.
        message: one line for the client.
        headers: further ones of the response.
    """

    def __init__(self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.headers = status, reason, message, dict(headers or {})


def bad_request(message: str) -> Refused:
    """The request itself is wrong."""
    return Refused(400, "bad_request", message)


def too_busy(message: str, seconds: int) -> Refused:
    """There is no room for it now."""
    return Refused(429, "busy", message, {"Retry-After": str(max(seconds, 1))})


def too_late(seconds: float) -> Refused:
    """It has waited too long."""
    return Refused(503, "late", f"waited longer than {seconds:g} s; try again", {"Retry-After": "1"})
