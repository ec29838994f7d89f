"""The pure parts of what measures: bodies, answers, import times, kinds of calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bench.footprint import dominators
from bench.hooks import SIZE, Hooks
from bench.load import is_complete
from bench.reviews import answering, kind
from tests.simulators.gitlab import LoggedRequest

NOW = datetime(2025, 8, 6, tzinfo=UTC)


def call(path: str, after: float = 0.0) -> LoggedRequest:
    started = NOW + timedelta(seconds=after)
    return LoggedRequest("GET", path, {}, started, seconds=0.25)


def test_hooks_have_the_size_of_real_ones_and_each_means_an_event_of_its_own():
    hooks = Hooks("run")

    bodies = [hooks.body(number) for number in range(50)]
    events = [hooks.event(number) for number in range(50)]

    assert all(abs(len(body) - SIZE) < 200 for body in bodies)
    assert 50 == len({subject for subject, _, _ in events})
    assert 50 == len({headers["Nats-Msg-Id"] for _, _, headers in events})
    assert "merge_request" == msgspec.json.decode(bodies[0])["object_kind"]


def test_hooks_of_two_runs_share_no_event():
    assert Hooks("one").event(3)[0] != Hooks("two").event(3)[0]


@pytest.mark.parametrize(
    ("answer", "complete"),
    [
        (b"HTTP/1.1 202 Accepted\r\nContent-Le", False),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\nab", False),
        (b"HTTP/1.1 202 Accepted\r\ncontent-length: 3\r\n\r\nabc", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_an_answer_is_complete_when_all_its_bytes_are_there(answer, complete):
    assert complete == is_complete(answer)


def test_import_times_are_summed_by_package_without_their_children():
    report = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:      2000 |       2000 |   aiohttp.web\n"
        "import time:      1000 |       3000 | aiohttp\n"
        "import time:       500 |        500 | nats\n"
    )

    assert (("aiohttp", 0.003), ("nats", 0.0005)) == dominators(report)


def test_calls_count_by_method_and_route():
    path = "/api/v4/projects/12/merge_requests/7/notes/99"

    assert "GET /projects/:id/merge_requests/:id/notes/:id" == kind(call(path))


def test_only_calls_that_began_within_the_time_are_taken_off():
    calls = [call("/api/v4/user", after) for after in (-1.0, 0.5, 1.5, 9.0)]

    assert 0.5 == answering(calls, NOW, NOW + timedelta(seconds=2))
