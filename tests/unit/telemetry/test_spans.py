"""Spans: who is whose parent, what they say of failures, and that they are there without an SDK."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
import structlog
from opentelemetry.trace import StatusCode

from libs.common import logs, telemetry
from libs.common.telemetry import Foreign

TRACE, SPAN = "1" * 32, "2" * 16
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


def hex_id(number):
    return f"{number:016x}"


def test_without_a_collector_spans_have_ids_and_carry_the_trace_on():
    with telemetry.span("outer", parent=TRACEPARENT) as outer:
        with telemetry.span("inner") as inner:
            assert inner.traceparent == telemetry.current()
        assert outer.traceparent == telemetry.current()
    assert "" == telemetry.current()
    assert TRACE == telemetry.trace_id(outer.traceparent) == telemetry.trace_id(inner.traceparent)
    assert 3 == len({TRACEPARENT, outer.traceparent, inner.traceparent})
    assert not telemetry.is_recorded()


@pytest.mark.parametrize("parent", ["", "garbage", "00-xyz-1-01", f"01-{TRACE}-{SPAN}-01"])
def test_without_a_readable_parent_a_trace_begins(parent):
    with telemetry.span("around", parent=TRACEPARENT), telemetry.span("a", parent=parent) as span:
        assert telemetry.trace_id(span.traceparent) not in {"", TRACE}


def test_a_recorded_span_hangs_below_its_parent(recorded):
    with telemetry.span("outer", parent=TRACEPARENT, kind="consumer"), telemetry.span("inner"):
        pass
    outer, inner = recorded()["outer"], recorded()["inner"]
    assert SPAN == hex_id(outer.parent.span_id)
    assert outer.context.span_id == inner.parent.span_id
    assert TRACE == f"{inner.context.trace_id:032x}"


def test_a_parent_that_was_not_sampled_is_followed_all_the_same(recorded):
    with telemetry.span("a", parent=f"00-{TRACE}-{SPAN}-00"):
        pass
    assert "a" in recorded()


def test_sr_37_a_failed_span_names_the_type_and_never_the_message(recorded):
    with pytest.raises(RuntimeError), telemetry.span("a"):
        raise RuntimeError("canary-token")
    span = recorded()["a"]
    assert (StatusCode.ERROR, None) == (span.status.status_code, span.status.description)
    assert {"error.type": "RuntimeError"} == dict(span.attributes)
    assert "canary-token" not in span.to_json()


def test_attributes_that_are_none_are_left_out(recorded):
    with telemetry.span("a") as span:
        span.set({"x": None, "y": 1})
        telemetry.note({"z": "two"})
    assert {"y": 1, "z": "two"} == dict(recorded()["a"].attributes)


async def test_two_coroutines_have_spans_of_their_own(recorded):
    together = asyncio.Barrier(2)

    async def work(name):
        with telemetry.span(name, parent=""):
            await together.wait()
            with telemetry.span(f"in {name}"):
                await together.wait()

    await asyncio.gather(work("one"), work("two"))
    spans = recorded()
    for name in ("one", "two"):
        assert spans[name].context.span_id == spans[f"in {name}"].parent.span_id


def test_spans_of_another_program_keep_their_place(recorded):
    telemetry.forward(
        [
            Foreign(
                name="chat m", trace_id=TRACE, span_id="a" * 16, parent_id=SPAN, kind="client",
                start=10, end=30, attributes={"gen_ai.usage.input_tokens": 7}, failed=True,
            )
        ],
        "github-copilot",
    )  # fmt: skip
    span = recorded()["chat m"]
    assert ("a" * 16, SPAN) == (hex_id(span.context.span_id), hex_id(span.parent.span_id))
    assert (10, 30, 7) == (
        span.start_time,
        span.end_time,
        span.attributes["gen_ai.usage.input_tokens"],
    )
    assert "github-copilot" == span.resource.attributes["service.name"]
    assert StatusCode.ERROR is span.status.status_code


def test_a_log_line_carries_the_trace_around_it():
    out, kept = io.StringIO(), []
    before = structlog.get_config()
    try:
        logs.configure("test", "INFO", out, lambda level, event: kept.append((level, dict(event))))
        with telemetry.span("a", parent=TRACEPARENT):
            structlog.get_logger().info("inside", task_id="t-1")
        structlog.get_logger().info("outside")
    finally:
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()
    inside, outside = map(json.loads, out.getvalue().splitlines())
    assert (TRACE, "t-1", "test") == (inside["trace_id"], inside["task_id"], inside["service"])
    assert "trace_id" not in outside
    assert [("info", "inside"), ("info", "outside")] == [(lv, e["event"]) for lv, e in kept]
