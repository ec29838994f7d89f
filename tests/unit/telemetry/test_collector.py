"""The collector's address and what is said when it fails: never a login, never often."""

from __future__ import annotations

import logging

import pytest
from structlog.testing import capture_logs

from libs.common.otlp.collector import Collector, Late
from libs.common.otlp.complaints import EVERY_SECONDS, Complaints
from libs.common.otlp.pipeline import close


class Named:
    """A result as the vendor has it."""

    def __init__(self, name):
        self.name = name


class Exporter:
    """Answers with what it was given, or raises it."""

    def __init__(self, answer):
        self.answer = answer

    def export(self, _batch):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def record(*args, name="opentelemetry.exporter.otlp"):
    return logging.LogRecord(name, logging.ERROR, "x.py", 1, "failed %s to %s", args, None)


def test_sr_37_a_login_in_the_endpoint_is_a_header_and_is_not_shown():
    collector = Collector("http://me:canary%21word@collector.test:4317")
    assert "Collector('collector.test:4317')" == repr(collector)
    exporter = collector.exporter("traces")
    try:
        assert "collector.test:4317" == exporter._endpoint
        assert dict(exporter._headers)["authorization"].startswith("Basic ")
    finally:
        exporter.shutdown()


def test_an_exporter_is_made_with_the_first_batch_only():
    made = []
    late = Late(lambda: made.append(1) or Exporter(Named("SUCCESS")))
    assert [] == made
    assert [True, True] == [late.export([]), late.export([])]
    assert [1] == made


@pytest.mark.parametrize("answer", [Named("FAILURE"), RuntimeError("canary"), ValueError("canary")])
def test_an_exporter_that_fails_fails_nothing(answer):
    assert not Late(lambda: Exporter(answer)).export([])


def test_one_line_a_minute_whatever_the_sdk_says():
    now = [0.0]
    complaints = Complaints("ingest", clock=lambda: now[0])
    with capture_logs() as lines:
        for _ in range(500):
            complaints.handle(record("traces", "StatusCode.UNAVAILABLE"))
        now[0] = EVERY_SECONDS
        complaints.handle(record("traces", "StatusCode.UNAVAILABLE"))
    assert [("unavailable", 0), ("unavailable", 499)] == [
        (line["why"], line["left_out"]) for line in lines
    ]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in lines[0]["event"]


def test_sr_37_the_vendors_words_are_never_repeated():
    with capture_logs() as lines:
        Complaints("ingest").handle(record("canary-1", "http://me:canary-2@host"))
    assert "canary" not in repr(lines)
    assert "otlp" == lines[0]["why"]


def test_the_end_is_bounded_and_never_fails():
    closed = []

    def bad():
        raise RuntimeError

    close(bad, lambda: closed.append(1))
    assert [1] == closed
