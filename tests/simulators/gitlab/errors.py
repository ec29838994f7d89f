"""Answers that are not a success, in GitLab's words. Raised everywhere, sent by `api`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ApiError(Exception):
    """An answer that is not a success; `body` is sent as JSON."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def message(status: int, text: Any) -> ApiError:
    return ApiError(status, {"message": text})


def not_found(what: str = "") -> ApiError:
    return message(404, f"404 {what} Not Found" if what else "404 Not found")


def forbidden(why: str = "") -> ApiError:
    return message(403, f"403 Forbidden{f' - {why}' if why else ''}")


def bad_request(why: str) -> ApiError:
    return message(400, f"400 Bad request - {why}")


def invalid(problem: str) -> ApiError:
    """Return what Grape says of a parameter: `{"error": "body is missing"}`."""
    return ApiError(400, {"error": problem})


def invalid_note(problems: Mapping[str, list[str]]) -> ApiError:
    """Return a failed note validation: the Ruby hash of errors, as it is printed."""
    listed = {name: ", ".join(f'"{text}"' for text in texts) for name, texts in problems.items()}
    inside = ", ".join(f":{name}=>[{texts}]" for name, texts in listed.items())
    return bad_request(f"Note {{{inside}}}")
