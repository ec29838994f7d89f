"""The REST API as far as pollers and publishers touch it: v3 on Cloud, v2 on Data Center.

Behaviours J5, J6 and J9. Called over HTTP; registered by `simulator`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import search, views
from .adf_check import is_document, says_something
from .api import Call, endpoint, reply
from .errors import bad_request, no_project, refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .state import Body, Issue, Way, World

    Endpoint = Callable[[Call], Awaitable[web.Response]]

LONGEST_COMMENT = 32_767


def routes(world: World) -> list[web.RouteDef]:
    data_center = world.settings.data_center
    base = f"/rest/api/{2 if data_center else 3}"
    issue = base + "/issue/{key}"
    found = [
        web.get(base + "/myself", endpoint(myself)),
        web.get(base + "/project/{key}/statuses", endpoint(list_statuses)),
        web.get(issue, endpoint(show_issue)),
        web.get(issue + "/transitions", endpoint(list_transitions)),
        web.post(issue + "/transitions", endpoint(transition)),
        web.get(issue + "/comment", endpoint(list_comments)),
        web.post(issue + "/comment", endpoint(add_comment)),
    ]
    if data_center:
        searches: dict[str, Endpoint] = {"/search": search.by_offset}
    else:
        found.append(web.get(issue + "/changelog", endpoint(list_changes)))
        searches = {"/search": search.removed, "/search/jql": search.by_token}
    for path, function in searches.items():
        found += [
            web.get(base + path, endpoint(function)),
            web.post(base + path, endpoint(function)),
        ]
    return found


async def myself(call: Call) -> web.Response:
    return reply(views.user(call.world, call.someone))


async def list_statuses(call: Call) -> web.Response:
    """By issue type, as Cloud v3 and Data Center v2 have it; hidden projects are not there."""
    project = call.world.projects.get(call.request.match_info["key"])
    if project is None or project.hidden or call.user is None:
        raise no_project(call.request.match_info["key"])
    statuses = [views.status(each) for each in project.workflow.statuses]
    kinds = ("Story", "Task")
    return reply(
        [
            {"id": str(number), "name": kind, "subtask": False, "statuses": statuses}
            for number, kind in enumerate(kinds, 10_001)
        ]
    )


async def show_issue(call: Call) -> web.Response:
    issue = call.issue()
    shown = views.issue(call.world, issue, call.names("fields") or ["*all"])
    expanded = call.names("expand")
    if "transitions" in expanded:
        shown["transitions"] = _ways(issue)
    if "changelog" in expanded:
        histories = [views.change(call.world, change) for change in issue.changes]
        if not call.world.settings.data_center:
            histories.reverse()  # Cloud shows the newest first here
        shown["changelog"] = _counted(0, len(histories), len(histories)) | {"histories": histories}
    return reply(shown)


async def list_changes(call: Call) -> web.Response:
    changes = call.issue().changes
    start, size = call.number("startAt", 0), min(call.number("maxResults", 100), 100)
    values = [views.change(call.world, each) for each in changes[start : start + size]]
    counted = _counted(start, size, len(changes))
    return reply(counted | {"isLast": start + size >= len(changes), "values": values})


async def list_transitions(call: Call) -> web.Response:
    return reply({"expand": "transitions", "transitions": _ways(call.issue())})


async def transition(call: Call) -> web.Response:
    """Move an issue: 204, 400 for a way that is not there or lacks a field, 409 (J6)."""
    issue, author = call.issue(), call.someone
    wanted = call.body.get("transition")
    if not isinstance(wanted, dict) or "id" not in wanted:
        raise bad_request("Missing 'transition' identifier")
    way = next((w for w in _open_ways(issue) if w.id == str(wanted["id"])), None)
    if way is None:
        raise bad_request(f"Transition id '{wanted['id']}' is not valid for this issue.")
    fields = call.body.get("fields", {})
    missing = {name: f"{name.title()} is required." for name in way.required if name not in fields}
    if missing:
        raise bad_request(**missing)
    if call.world.settings.conflicts > 0:
        call.world.settings.conflicts -= 1
        raise refused(409, "The issue could not be updated due to a conflicting update.")
    call.world.move(issue, issue.project.workflow.status(way.target), author)
    return web.Response(status=204)


async def list_comments(call: Call) -> web.Response:
    issue = call.issue()
    start, size = call.number("startAt", 0), call.number("maxResults", 50)
    shown = [views.comment(call.world, each) for each in issue.comments[start : start + size]]
    counted = _counted(start, size, len(issue.comments))
    return reply(counted | {"comments": shown})


async def add_comment(call: Call) -> web.Response:
    issue, author, body = call.issue(), call.someone, call.body.get("body")
    _check_comment(body, data_center=call.world.settings.data_center)
    if len(issue.comments) >= call.world.settings.comments_per_issue:
        raise refused(413, "The issue has reached its limit of comments.")
    visibility = call.body.get("visibility") or {}
    made = call.world.comment(issue, body, author, visibility.get("value"))
    return reply(views.comment(call.world, made), 201)


def _check_comment(body: Body, *, data_center: bool) -> None:
    """Refuse a string on v3 and a document on v2 (J5, J9)."""
    if data_center and not isinstance(body, str):
        raise bad_request(
            "Can not deserialize instance of java.lang.String out of START_OBJECT token"
        )
    if not data_center and not is_document(body):
        raise bad_request(
            comment="Operation value must be an Atlassian Document "
            "(see the Atlassian Document Format)"
        )
    if not (body.strip() if isinstance(body, str) else says_something(body)):
        raise bad_request(comment="Comment body can not be empty!")
    if len(_letters(body)) > LONGEST_COMMENT:
        raise bad_request(comment=f"The entered text is too long. It exceeds {LONGEST_COMMENT}.")


def _letters(body: Any) -> str:
    if isinstance(body, str):
        return body
    if isinstance(body, dict):
        return str(body.get("text", "")) + _letters(body.get("content", []))
    return "".join(map(_letters, body))


def _open_ways(issue: Issue) -> list[Way]:
    return issue.project.workflow.ways_from(issue.status)


def _ways(issue: Issue) -> list[dict[str, Any]]:
    workflow = issue.project.workflow
    return [views.transition(way, workflow.status(way.target)) for way in _open_ways(issue)]


def _counted(start: int, size: int, total: int) -> dict[str, int]:
    return {"startAt": start, "maxResults": size, "total": total}
