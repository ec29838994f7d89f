"""Log lines and trace context; set up once per process by `libs.common.service`.

JSON when the output is not a terminal, readable lines when it is. The trace context travels in
event headers as W3C `traceparent` from the first webhook on.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import sys
from contextvars import ContextVar
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_current: ContextVar[str] = ContextVar("traceparent", default="")


def configure(service: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send structlog and the standard library's records to `stream` (stderr)."""
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
            structlog.dev.ConsoleRenderer(
                colors="NO_COLOR" not in os.environ,
                # The rich formatter would print local variables, secrets among them (SR-37).
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
        if readable
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
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
    trace = trace_id(_current.get())
    if trace:
        event.setdefault("trace_id", trace)
    return event


def new_traceparent() -> str:
    """A W3C traceparent that starts a trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def child_of(traceparent: str) -> str:
    """A traceparent of the same trace with a span of its own; a new trace when unreadable."""
    match = _TRACEPARENT.fullmatch(traceparent)
    return f"00-{match[1]}-{secrets.token_hex(8)}-01" if match else new_traceparent()


def trace_id(traceparent: str) -> str:
    match = _TRACEPARENT.fullmatch(traceparent)
    return match[1] if match else ""


def enter(traceparent: str) -> None:
    """Make `traceparent` the context of this task, so that its log lines carry the trace."""
    _current.set(traceparent)


def current() -> str:
    """The traceparent of this task, or an empty string."""
    return _current.get()
