"""Which of the Copilot CLI's own spans are passed on, and what of them."""

from __future__ import annotations

import hashlib
import json

from services.runner.cli_spans import kept

TRACE, OURS = "1" * 32, "0" * 15 + "f"


def line(span_id, name, parent=OURS, **more):
    return json.dumps(
        {
            "type": "span", "traceId": TRACE, "spanId": span_id * 16, "name": name,
            "parentSpanId": parent if len(parent) == 16 else parent * 16, "kind": 2,
            "startTime": [1, 5], "endTime": [2, 0], "attributes": {}, "status": {"code": 0},
        } | more
    ).encode()  # fmt: skip


def test_turns_model_calls_and_tool_calls_are_kept_in_their_places():
    found = kept(
        [
            line("a", "invoke_agent"),
            line("b", "session.first_turn", "a"),
            line("c", "chat gpt", "b", attributes={"gen_ai.usage.input_tokens": 5}),
            line("d", "execute_tool view", "c"),
        ],
        TRACE,
    )
    assert [("invoke_agent", OURS), ("chat gpt", "a" * 16), ("execute_tool view", "c" * 16)] == [
        (span.name, span.parent_id) for span in found
    ]
    assert (1_000_000_005, 2_000_000_000) == (found[0].start, found[0].end)
    assert {"gen_ai.usage.input_tokens": 5} == found[1].attributes


def test_our_tools_get_their_names_back():
    hidden = hashlib.sha256(b"submit_review").hexdigest()
    [span] = kept(
        [line("a", f"execute_tool {hidden}", attributes={"gen_ai.tool.name": hidden})], TRACE
    )
    assert ("execute_tool submit_review", "submit_review") == (
        span.name,
        span.attributes["gen_ai.tool.name"],
    )


def test_sr_37_nothing_that_was_said_and_no_secret_is_passed_on():
    [span] = kept(
        [
            line(
                "a",
                "chat canary-key",
                attributes={
                    "gen_ai.input.messages": "canary-prompt",
                    "gen_ai.tool.call.arguments": "canary-arguments",
                    "exception.message": "canary-message",
                    "error.type": "401 canary-key",
                },
                status={"code": 2, "message": "canary-status"},
                events=[{"name": "exception", "attributes": {"exception.message": "canary-event"}}],
            )
        ],
        TRACE,
        ["canary-key", ""],
    )
    assert "canary" not in repr(span)
    assert span.failed


def test_spans_of_another_trace_and_what_cannot_be_read_are_left_out():
    assert [] == kept(
        [b"", b"garbage", b"[1]", b'{"type": "metric"}', line("a", "chat", traceId="2" * 32)], TRACE
    )


def test_parents_in_a_circle_come_to_an_end():
    [span] = kept([line("a", "chat", "b"), line("b", "x", "c"), line("c", "x", "b")], TRACE)
    assert span.parent_id in {"b" * 16, "c" * 16}
