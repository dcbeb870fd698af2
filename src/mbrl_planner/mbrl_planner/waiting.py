"""Requests that have arrived while others were served, so that they can be served as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def take_waiting(service: Any) -> Iterator[tuple[Any, Any]]:
    """Take what has arrived for a service by now; nothing is waited for.

    For a service's own callback: rclpy calls it once per request, and passes over a call whose
    request is gone.

    Args:
        service: an ``rclpy.service.Service``.

    Yields:
        request and header; ``service.send_response(response, header)`` must be called for each.
    """
    while True:
        with service.handle:
            request, header = service.handle.service_take_request(service.srv_type.Request)
        if header is None:
            return
        yield request, header
