"""Answers that are not a success, in Jira's words. Raised everywhere, sent by `api`."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer that is not a success; `body` is sent as JSON."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def refused(status: int, *messages: str, **errors: str) -> ApiError:
    return ApiError(status, {"errorMessages": list(messages), "errors": errors})


def bad_request(*messages: str, **errors: str) -> ApiError:
    return refused(400, *messages, **errors)


def no_issue() -> ApiError:
    return refused(404, "Issue does not exist or you do not have permission to see it.")


def no_project(key: str) -> ApiError:
    return refused(404, f"No project could be found with key '{key}'.")


def unauthenticated() -> ApiError:
    text = "Client must be authenticated to access this resource."
    return ApiError(401, {"message": text, "status-code": 401})


def gone() -> ApiError:
    """Return what Cloud says of the old search (atlassian-mcp-server#70)."""
    text = (
        "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. "
        "A full migration guideline is available at "
        "https://developer.atlassian.com/changelog/#CHANGE-2046"
    )
    return ApiError(410, {"errorMessages": [text], "errors": {}})


def unbounded() -> ApiError:
    return bad_request(
        "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
    )
