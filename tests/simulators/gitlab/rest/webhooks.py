"""Project hooks: list, create, delete, recent events, resend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.simulators.gitlab import views
from tests.simulators.gitlab.api import Call, endpoint, no_content, reply
from tests.simulators.gitlab.errors import forbidden, not_found
from tests.simulators.gitlab.pagination import page_of
from tests.simulators.gitlab.state import MAINTAINER, Hook

from .projects import PROJECT

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import Project

HOOKS = PROJECT + "/hooks"
_EVENTS = {"push_events": "push", "merge_requests_events": "merge_request"}
_EVENTS |= {"note_events": "note", "emoji_events": "emoji", "tag_push_events": "tag_push"}


def routes() -> list[web.RouteDef]:
    return [
        web.get(HOOKS, endpoint(list_hooks)),
        web.post(HOOKS, endpoint(create)),
        web.delete(HOOKS + "/{hook_id}", endpoint(delete)),
        web.get(HOOKS + "/{hook_id}/events", endpoint(recent)),
        web.post(HOOKS + "/{hook_id}/events/{event_id}/resend", endpoint(resend)),
    ]


def _project(call: Call) -> Project:
    project = call.project()
    if project.access_level(call.user) < MAINTAINER:
        raise forbidden()
    return project


def _hook(call: Call) -> Hook:
    wanted = call.path_number("hook_id")
    found = next((hook for hook in _project(call).hooks if hook.id == wanted), None)
    if found is None:
        raise not_found()
    return found


def _show(project: Project, hook: Hook) -> dict[str, Any]:
    status = "disabled" if hook.permanently_disabled else "executable"
    if hook.disabled_until is not None:
        status = "temporarily_disabled"
    return {
        "id": hook.id,
        "url": hook.url,
        "project_id": project.id,
        "created_at": views.iso(hook.created_at),
        **{name: kind in hook.events for name, kind in _EVENTS.items()},
        "enable_ssl_verification": True,
        "token_present": hook.secret is not None,
        "signing_token_present": hook.signing_token is not None,
        "alert_status": status,
        "disabled_until": views.iso(hook.disabled_until),
    }


async def list_hooks(call: Call) -> web.Response:
    project = _project(call)
    return page_of(call, project.hooks, lambda page: [_show(project, hook) for hook in page])


async def create(call: Call) -> web.Response:
    project = _project(call)
    chosen = {
        kind for name, kind in _EVENTS.items() if call.flag(name, default=name == "push_events")
    }
    hook = Hook(
        id=call.world.next_id(),
        url=call.required("url"),
        secret=call.text("token") or None,
        signing_token=call.text("signing_token") or None,
        events=frozenset(chosen),
        created_at=call.world.clock.now(),
    )
    project.hooks.append(hook)
    return reply(_show(project, hook), 201)


async def delete(call: Call) -> web.Response:
    hook = _hook(call)
    _project(call).hooks.remove(hook)
    return no_content()


async def recent(call: Call) -> web.Response:
    hook = _hook(call)
    sent = [d for d in reversed(call.world.webhooks.deliveries) if d.hook is hook]
    return page_of(
        call,
        sent,
        lambda page: [
            {
                "id": delivery.id,
                "url": hook.url,
                "trigger": f"{delivery.event}_hooks",
                "request_headers": delivery.headers,
                "request_data": delivery.payload,
                "response_body": delivery.response_body,
                "execution_duration": delivery.seconds,
                "response_status": str(delivery.status or "internal error"),
            }
            for delivery in page
        ],
    )


async def resend(call: Call) -> web.Response:
    hook = _hook(call)
    wanted = call.path_number("event_id")
    sent = call.world.webhooks.deliveries
    delivery = next((d for d in sent if d.hook is hook and d.id == wanted), None)
    if delivery is None:
        raise not_found()
    again = await call.world.webhooks.resend(delivery)
    return reply({"response_status": again.status}, 201)
