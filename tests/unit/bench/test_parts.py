"""The pure parts of what measures: bodies, answers, import times, kinds of calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bench.commands import is_search, kind_in_jira, until_comment
from bench.footprint import dominators
from bench.hooks import SIZE, Hooks
from bench.load import is_complete
from bench.patches import covered, patch_of
from bench.replays import appended_of
from bench.reviews import answering, kind
from tests.simulators.gitlab import LoggedRequest

NOW = datetime(2025, 8, 6, tzinfo=UTC)


def call(path: str, after: float = 0.0, method: str = "GET") -> LoggedRequest:
    started = NOW + timedelta(seconds=after)
    return LoggedRequest(method, path, {}, started, seconds=0.25)


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


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (
            "/projects/12/merge_requests/7/notes/99",
            "/projects/:id/merge_requests/:id/notes/:id",
        ),
        (
            "/projects/12/repository/branches/agent%2FPROJ-1",
            "/projects/:id/repository/branches/:name",
        ),
        ("/projects/1/repository/files/a%2Fb.yml/raw", "/projects/:id/repository/files/:path/raw"),
        (f"/discussions/{'a1' * 20}/notes", "/discussions/:id/notes"),
    ],
)
def test_calls_count_by_method_and_route(path, route):
    assert f"GET {route}" == kind(call(f"/api/v4{path}"))


def test_calls_to_jira_count_by_method_and_route_and_searches_are_the_pollers():
    move = call("/rest/api/3/issue/PROJ-12/transitions", method="POST")

    assert "POST /issue/:key/transitions" == kind_in_jira(move)
    assert [False, True] == [is_search(move), is_search(call("/rest/api/3/search/jql"))]


def test_calls_are_counted_until_the_comment_is_written():
    of_issue = "/rest/api/3/issue/PROJ-12"
    calls = [
        call(of_issue),
        call(f"{of_issue}/comment"),
        call(f"{of_issue}/comment", method="POST"),
        call(f"{of_issue}/transitions", method="POST"),
    ]

    assert 3 == until_comment(calls)


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0.0),
        ([(1.0, 2.0), (3.0, 4.5)], 2.5),
        ([(1.0, 4.0), (2.0, 3.0)], 3.0),
        ([(-5.0, 1.0), (9.0, 99.0)], 2.0),
        ([(20.0, 30.0)], 0.0),
    ],
)
def test_what_overlaps_is_counted_once_and_only_within(spans, seconds):
    assert seconds == covered(spans, 0.0, 10.0)


def test_a_patch_has_its_size_and_says_what_git_checks():
    patch = patch_of(100_000, 1)

    assert 99_000 < len(patch) <= 100_000
    assert 10 == patch.count(b"diff --git a/words/1-")


def test_only_calls_that_began_within_the_time_are_taken_off():
    calls = [call("/api/v4/user", after) for after in (-1.0, 0.5, 1.5, 9.0)]

    assert 0.5 == answering(calls, NOW, NOW + timedelta(seconds=2))


def test_what_a_replay_appended_is_read_from_its_last_line():
    said = "3 events found, 2 to replay\nreplay 0106_0930: 1 of 2 appended, 1 were there, 0.5 s\n"
    done = "replay 0106_0930: 2000 of 2000 appended, 4.2 s\n"

    assert (2000, 4.2) == appended_of(said + done)
    with pytest.raises(RuntimeError, match="did not say"):
        appended_of(said)
