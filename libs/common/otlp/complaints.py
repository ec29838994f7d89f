"""What the SDK logs about failing exports, as one line of ours per minute. Used by `pipeline`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import structlog

EVERY_SECONDS = 60.0


class Complaints(logging.Handler):
    """Says that telemetry is not delivered; never in the vendor's words (SR-37).

    Those may repeat what the collector answered, and come with every batch.
    """

    def __init__(self, service: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._service = service
        self._clock = clock
        self._next = float("-inf")
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        if self._clock() < self._next:
            self._left_out += 1
            return
        self._next = self._clock() + EVERY_SECONDS
        left_out, self._left_out = self._left_out, 0
        # Asked for anew each time: a bound logger would keep the configuration it was bound under.
        structlog.get_logger().warning(
            "telemetry is not delivered; check OTEL_EXPORTER_OTLP_ENDPOINT",
            service=self._service,
            why=status(record),
            left_out=left_out,
        )


def status(record: logging.LogRecord) -> str:
    """The gRPC status among the record's arguments in one word, else who complained."""
    values = record.args if isinstance(record.args, tuple) else ()
    found = [str(value) for value in values if str(value).startswith("StatusCode.")]
    return found[0].removeprefix("StatusCode.").lower() if found else record.name.rpartition(".")[2]


def hear(service: str) -> None:
    """Let `Complaints` speak for everything that the SDK and its exporters log."""
    logger = logging.getLogger("opentelemetry")
    logger.handlers = [Complaints(service)]
    logger.propagate = False
