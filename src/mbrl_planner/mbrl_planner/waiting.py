"""Requests that have arrived while others were served, so that they can be served as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def take_waiting(service: Any, most: int = 31) -> Iterator[tuple[Any, Any]]:
    """Take what has arrived for a service by now; nothing is waited for.

    For a service's own callback: rclpy calls it once per request, and passes over a call whose
    request is gone.

    Args:
        service: an ``rclpy.service.Service``.
        most: how many to take, so that who asks without pause cannot keep a node from answering.

    Yields:
        request and header; ``service.send_response(response, header)`` must be called for each.
    """
    for _ in range(most):
        with service.handle:
            request, header = service.handle.service_take_request(service.srv_type.Request)
        if header is None:
            return
        yield request, header
