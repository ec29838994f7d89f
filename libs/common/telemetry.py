"""Traces: spans, and the `traceparent` that carries them from the webhook to the posted note.

Set up once per process by `libs.common.service` and the runner; spans may be made without that.
Without `OTEL_EXPORTER_OTLP_ENDPOINT` spans have ids and are not recorded, so that log lines and
event headers lead from one to the next all the same.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

import msgspec
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode

from libs.common import logs

if TYPE_CHECKING:
    from libs.common.otlp.pipeline import Lines, Tracing

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Value = str | int | float | bool | Sequence[str]
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """A span that another program has made; times in nanoseconds since 1970, ids as hex."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: Kind
    start: int
    end: int
    attributes: dict[str, Value]
    failed: bool


class _Process:
    """What `configure` set up for this process."""

    tracing: Tracing | None = None
    lines: Lines | None = None


class Span:
    """A span under way; `set` adds attributes, None leaves one out."""

    def __init__(self, inner: trace.Span) -> None:
        self._inner = inner

    @property
    def traceparent(self) -> str:
        return _written(self._inner.get_span_context())

    def set(self, attributes: Mapping[str, Value | None]) -> None:
        if self._inner.is_recording():
            self._inner.set_attributes(
                {name: value for name, value in attributes.items() if value is not None}
            )

    def failed(self, error_type: str) -> None:
        """Mark as failed; a word, never a message, which may hold what must not be seen (SR-37)."""
        self._inner.set_attribute("error.type", error_type)
        self._inner.set_status(Status(StatusCode.ERROR))


_UNSEEN = Span(trace.INVALID_SPAN)


def configure(
    service: str,
    level: str = "INFO",
    stream: TextIO | None = None,
    *,
    endpoint: str = "",
    ca_bundle: Path | None = None,
    keep: bool = False,
) -> None:
    """Start logging to `stream` (stderr); with an `endpoint`, send spans and lines there too.

    With `keep`, spans wait for `hand_over` or the end of the process.
    """
    _Process.tracing = _Process.lines = None
    if endpoint:
        # Not at the top: the SDK and all it brings are only for those who have a collector.
        from libs.common.otlp.collector import Collector  # noqa: PLC0415
        from libs.common.otlp.pipeline import spans_and_lines  # noqa: PLC0415

        _Process.tracing, _Process.lines = spans_and_lines(
            service, Collector(endpoint, ca_bundle), keep=keep
        )
    logs.configure(service, level, stream, _Process.lines)


def record(tracing: Tracing | None) -> None:
    """Record spans with `tracing` from now on; None ends it. For `configure` and for tests."""
    _Process.tracing = tracing


def shutdown() -> None:
    """Send what is left, within two seconds; the end of a process."""
    tracing, lines = _Process.tracing, _Process.lines
    closing = [tracing.provider.shutdown] if tracing is not None else []
    closing += [lines.close] if lines is not None else []
    if closing:
        from libs.common.otlp.pipeline import close  # noqa: PLC0415  see `configure`

        close(*closing)


def hand_over(file: Path) -> None:
    """Leave what was kept in `file` and send nothing: the next process has the time for it."""
    tracing, _Process.tracing, _Process.lines = _Process.tracing, None, None
    if tracing is not None:
        with contextlib.suppress(OSError):
            file.write_bytes(msgspec.json.encode(tracing.taken()))


def take_over(file: Path, source: str) -> None:
    """Send what another process of service `source` left in `file`, if it did."""
    with contextlib.suppress(OSError, ValueError):
        forward(msgspec.json.decode(file.read_bytes(), type=list[Foreign]), source)


@contextlib.contextmanager
def span(
    name: str,
    *,
    kind: Kind = "internal",
    parent: str | None = None,
    attributes: Mapping[str, Value] | None = None,
) -> Iterator[Span]:
    """A span around a block of work, and the trace of its log lines.

    `parent` is a traceparent; None means the span around this one, and one that is empty or not
    readable starts a trace. What the block raises marks the span with its type.
    """
    context = contexts.get_current() if parent is None else _context(parent)
    inner = _begun(name, kind, context, attributes)
    token = contexts.attach(trace.set_span_in_context(inner, context))
    around = Span(inner)
    try:
        yield around
    except BaseException as error:
        around.failed(type(error).__name__)
        raise
    finally:
        contexts.detach(token)
        inner.end()


def leaf(
    name: str, *, kind: Kind, attributes: Callable[[], Mapping[str, Value]]
) -> contextlib.AbstractContextManager[Span]:
    """A span that nothing hangs below; not even made when nobody will see it."""
    if _Process.tracing is None:
        return contextlib.nullcontext(_UNSEEN)
    return span(name, kind=kind, attributes=attributes())


def note(attributes: Mapping[str, Value | None]) -> None:
    """Add attributes to the span around."""
    Span(trace.get_current_span()).set(attributes)


def current() -> str:
    """The traceparent of the span around, or an empty string."""
    return _written(trace.get_current_span().get_span_context())


def trace_id(traceparent: str) -> str:
    """Its 32 hexadecimal digits, or an empty string."""
    match = _TRACEPARENT.fullmatch(traceparent)
    return match[1] if match else ""


def is_recorded() -> bool:
    """Whether anybody will see the spans of this process."""
    return _Process.tracing is not None


def forward(spans: Sequence[Foreign], source: str) -> None:
    """Send spans of another program on, as of service `source`; drops them when nobody records."""
    if _Process.tracing is not None:
        for each in spans:
            _Process.tracing.add(each, source)


def _begun(
    name: str, kind: Kind, context: Context, attributes: Mapping[str, Value] | None
) -> trace.Span:
    if _Process.tracing is not None:
        return _Process.tracing.tracer.start_span(
            name,
            context=context,
            kind=SpanKind[kind.upper()],
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        )
    around = trace.get_current_span(context).get_span_context()
    number = around.trace_id if around.is_valid else random.getrandbits(128)
    return NonRecordingSpan(_span_context(number, random.getrandbits(64)))


def _context(traceparent: str) -> Context:
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return Context()
    around = _span_context(int(match[1], 16), int(match[2], 16), is_remote=True)
    return trace.set_span_in_context(NonRecordingSpan(around), Context())


def _span_context(number: int, span_id: int, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(number, span_id, is_remote=is_remote, trace_flags=_SAMPLED)


def _written(context: SpanContext) -> str:
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
