"""Log lines: JSON when the output is not a terminal, readable lines when it is.

Set up once per process by `libs.common.telemetry`. Every line carries the trace it belongs to.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, WrappedLogger

Sink = Callable[[str, EventDict], None]
"""Takes the level and the fields of a line that is about to be written."""


def configure(service: str, level: str, stream: TextIO | None, sink: Sink | None) -> None:
    """Send structlog and the standard library's records to `stream` (stderr), lines to `sink`."""
    out = stream or sys.stderr
    readable = out.isatty() and not os.environ.get("GCA_LOG_JSON")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_trace,
    ]
    last: list[Any] = (
        [
            *_copied_to(sink),
            structlog.dev.ConsoleRenderer(
                colors="NO_COLOR" not in os.environ,
                # The rich formatter would print local variables, secrets among them (SR-37).
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
        if readable
        else [
            structlog.processors.format_exc_info,
            *_copied_to(sink),
            structlog.processors.JSONRenderer(),
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(
        stream=out, level=logging.WARNING, format="%(name)s: %(message)s", force=True
    )


def _with_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", f"{context.trace_id:032x}")
    return event


def _copied_to(sink: Sink | None) -> list[Any]:
    if sink is None:
        return []

    def copied(_: WrappedLogger, level: str, event: EventDict) -> EventDict:
        sink(level, event)
        return event

    return [copied]
