"""Lists of merge requests, one merge request, editing, approving, merging."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.simulators.gitlab import merge_requests as life
from tests.simulators.gitlab import views
from tests.simulators.gitlab.api import Call, endpoint, reply
from tests.simulators.gitlab.errors import invalid, message, not_found
from tests.simulators.gitlab.pagination import page_of
from tests.simulators.gitlab.state import DEVELOPER, REPORTER

from .projects import API, PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.simulators.gitlab.state import MergeRequest

MERGE_REQUESTS = PROJECT + "/merge_requests"
ONE = MERGE_REQUESTS + "/{iid}"
_STATES = {"opened", "closed", "locked", "merged", "all"}
_ORDERS = {"created_at", "updated_at", "title"}


def routes() -> list[web.RouteDef]:
    return [
        web.get(API + "/merge_requests", endpoint(list_all)),
        web.get(API + "/groups/{group}/merge_requests", endpoint(list_of_group)),
        web.get(MERGE_REQUESTS, endpoint(list_of_project)),
        web.get(ONE, endpoint(show)),
        web.put(ONE, endpoint(edit)),
        web.get(ONE + "/approvals", endpoint(approvals)),
        web.post(ONE + "/approve", endpoint(approve)),
        web.post(ONE + "/unapprove", endpoint(unapprove)),
        web.put(ONE + "/merge", endpoint(merge)),
    ]


async def list_all(call: Call) -> web.Response:
    everything = [m for p in call.world.projects.values() for m in p.merge_requests.values()]
    scope = call.text("scope", "created_by_me")
    if scope == "created_by_me":
        everything = [m for m in everything if m.author is call.user]
    elif scope == "assigned_to_me":
        everything = [m for m in everything if call.user in m.assignees]
    elif scope != "all":
        raise invalid("scope does not have a valid value")
    return _page(call, everything)


async def list_of_group(call: Call) -> web.Response:
    prefix = call.request.match_info["group"].lower() + "/"
    every = call.world.projects.values()
    projects = [p for p in every if p.path_with_namespace.lower().startswith(prefix)]
    if not any(project.visible_to(call.user) for project in projects):
        raise not_found("Group")
    kept = [p for p in projects if not (p.archived and call.flag("non_archived", default=True))]
    return _page(call, [m for p in kept for m in p.merge_requests.values()])


async def list_of_project(call: Call) -> web.Response:
    return _page(call, call.project().merge_requests.values())


def _page(call: Call, found: Iterable[MergeRequest]) -> web.Response:
    visible = [m for m in found if _readable(call, m) and _wanted(call, m)]
    order, sort = call.text("order_by", "created_at"), call.text("sort", "desc")
    if order not in _ORDERS or sort not in {"asc", "desc"}:
        raise invalid(f"{'sort' if order in _ORDERS else 'order_by'} does not have a valid value")
    visible.sort(key=lambda m: (getattr(m, order), m.id), reverse=sort == "desc")
    return page_of(call, visible, lambda page: [views.merge_request(call.world, m) for m in page])


def _readable(call: Call, merge_request: MergeRequest) -> bool:
    project = merge_request.project
    return project.visibility == "public" or project.access_level(call.user) >= REPORTER


def _wanted(call: Call, merge_request: MergeRequest) -> bool:
    state = call.text("state", "all")
    if state not in _STATES:
        raise invalid("state does not have a valid value")
    conditions = [state in {"all", merge_request.state}]
    for name in ("updated", "created"):
        moment = getattr(merge_request, f"{name}_at")
        after, before = _moment(call, f"{name}_after"), _moment(call, f"{name}_before")
        conditions += [after is None or moment >= after, before is None or moment <= before]
    for name in ("source_branch", "target_branch"):
        wanted = call.text(name)
        conditions.append(not wanted or getattr(merge_request, name) == wanted)
    author = call.text("author_username")
    conditions.append(not author or merge_request.author.username == author)
    author_id = call.text("author_id")
    conditions.append(not author_id or str(merge_request.author.id) == author_id)
    iids = call.params.get("iids")
    listed = iids if isinstance(iids, list) else [iids]
    conditions.append(iids is None or str(merge_request.iid) in {str(iid) for iid in listed})
    draft = call.text("draft") or call.text("wip")
    conditions.append(not draft or (draft in {"yes", "true"}) == merge_request.draft)
    labels = [label for label in call.text("labels").split(",") if label]
    conditions.append(all(label in merge_request.labels for label in labels))
    return all(conditions)


def _moment(call: Call, name: str) -> datetime | None:
    value = call.text(name)
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value.replace(" ", "+"))
    except ValueError:
        raise invalid(f"{name} is invalid") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def show(call: Call) -> web.Response:
    return reply(views.single_merge_request(call.world, call.merge_request()))


async def edit(call: Call) -> web.Response:
    merge_request = call.merge_request()
    if not call.may_edit(merge_request):
        raise message(403, "403 Forbidden")
    fields: dict[str, Any] = {
        name: call.text(name)
        for name in ("title", "description", "target_branch")
        if name in call.params
    }
    if len(fields.get("title", "")) > 255:
        raise message(400, {"title": ["is too long (maximum is 255 characters)"]})
    if "labels" in call.params:
        given = call.params["labels"]
        listed = given if isinstance(given, list) else str(given or "").split(",")
        fields["labels"] = [str(label) for label in listed if label]
    if "discussion_locked" in call.params:
        merge_request.discussion_locked = call.flag("discussion_locked")
    if "allow_collaboration" in call.params and merge_request.for_fork:
        merge_request.allow_collaboration = call.flag("allow_collaboration")
    if fields:
        life.edit(call.world, merge_request, call.user, **fields)
    _state_event(call, merge_request)
    return reply(views.single_merge_request(call.world, merge_request))


def _state_event(call: Call, merge_request: MergeRequest) -> None:
    change = functools.partial(life.change_state, call.world, merge_request, call.user)
    event = call.text("state_event")
    if event == "close" and merge_request.state == "opened":
        change("closed")
    elif event == "reopen" and merge_request.state == "closed":
        change("opened")


async def approvals(call: Call) -> web.Response:
    merge_request = call.merge_request()
    people = [views.user(call.world, person) for person in merge_request.approved_by]
    return reply(
        {
            "id": merge_request.id,
            "iid": merge_request.iid,
            "project_id": merge_request.project.id,
            "approved": bool(people),
            "approved_by": [{"user": person} for person in people],
        }
    )


async def approve(call: Call) -> web.Response:
    merge_request = call.merge_request()
    if call.text("sha") not in {"", merge_request.head_sha}:
        raise message(409, "SHA does not match HEAD of source branch")
    level = merge_request.project.access_level(call.user)
    if level < DEVELOPER or call.user in merge_request.approved_by:
        raise message(401, "401 Unauthorized")
    life.approve(call.world, merge_request, call.user)
    response = await approvals(call)
    response.set_status(201)
    return response


async def unapprove(call: Call) -> web.Response:
    merge_request = call.merge_request()
    if call.user not in merge_request.approved_by:
        raise not_found()
    life.unapprove(call.world, merge_request, call.user)
    return reply({}, 201)


async def merge(call: Call) -> web.Response:
    merge_request = call.merge_request()
    if merge_request.project.access_level(call.user) < DEVELOPER:
        raise message(401, "401 Unauthorized")
    if merge_request.state != "opened" or merge_request.draft:
        raise message(405, "405 Method Not Allowed")
    if call.text("sha") not in {"", merge_request.head_sha}:
        raise message(409, "SHA does not match HEAD of source branch")
    life.merge(call.world, merge_request, call.user)
    return reply(views.single_merge_request(call.world, merge_request))
