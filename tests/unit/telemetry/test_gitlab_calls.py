"""What is seen of a call of GitLab: its route, never its path; the id of what it wrote."""

from __future__ import annotations

import pytest

from libs.common.gitlab.seen import made, seen, template

API = "https://gitlab.test/sub/api/v4"


@pytest.mark.parametrize(
    ("url", "route"),
    [
        (f"{API}/user", "/user"),
        (f"{API}/projects/42", "/projects/:id"),
        (f"{API}/projects/shop%2Fcanary/hooks", "/projects/:id/hooks"),
        (
            f"{API}/projects/42/merge_requests/7/notes/9",
            "/projects/:id/merge_requests/:id/notes/:id",
        ),
        (
            f"{API}/projects/4/merge_requests/7/versions?page=2&per_page=100",
            "/projects/:id/merge_requests/:id/versions",
        ),
        (
            f"{API}/projects/4/merge_requests/7/discussions/{'a' * 40}/notes",
            "/projects/:id/merge_requests/:id/discussions/:id/notes",
        ),
    ],
)
def test_a_route_has_no_ids(url, route):
    assert route == template(url)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"id": 7, "x": 1}', 7),
        (b'{"id": "abc"}', "abc"),
        (b"<html>", None),
        (b"", None),
        (b"[]", None),
    ],
)
def test_the_id_of_what_was_written(body, found):
    assert found == made(body)


def test_a_write_names_what_it_made(recorded):
    with seen("POST", f"{API}/projects/4/merge_requests/7/discussions") as call:
        call.answered(201, b'{"id": "abc"}')
    span = recorded()["POST /projects/:id/merge_requests/:id/discussions"]
    assert ("abc", 201) == (
        span.attributes["gitlab.discussion.id"],
        span.attributes["http.response.status_code"],
    )


def test_sr_37_a_refusal_is_a_status_and_nothing_of_its_body(recorded):
    with seen("PUT", f"{API}/projects/4/merge_requests/7/notes/9") as call:
        call.answered(403, b'{"id": 9, "message": "canary"}')
    span = recorded()["PUT /projects/:id/merge_requests/:id/notes/:id"]
    assert "403" == span.attributes["error.type"]
    assert "gitlab.note.id" not in span.attributes
    assert "canary" not in span.to_json()


def test_a_call_without_an_answer_fails_by_its_type(recorded):
    with pytest.raises(TimeoutError), seen("GET", f"{API}/user"):
        raise TimeoutError("canary")
    assert "TimeoutError" == recorded()["GET /user"].attributes["error.type"]
