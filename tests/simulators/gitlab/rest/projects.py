"""Users, tokens, projects and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from tests.simulators.gitlab import views
from tests.simulators.gitlab.api import Call, endpoint, reply
from tests.simulators.gitlab.errors import not_found
from tests.simulators.gitlab.pagination import page_of

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import Project

API = "/api/v4"
PROJECT = API + "/projects/{project}"


def routes() -> list[web.RouteDef]:
    return [
        web.get(API + "/version", endpoint(version)),
        web.get(API + "/metadata", endpoint(version)),
        web.get(API + "/user", endpoint(current_user)),
        web.get(API + "/users", endpoint(list_users)),
        web.get(API + "/users/{user_id}", endpoint(show_user)),
        web.get(API + "/personal_access_tokens/self", endpoint(own_token)),
        web.get(API + "/projects", endpoint(list_projects)),
        web.get(API + "/groups/{group}/projects", endpoint(group_projects)),
        web.get(PROJECT, endpoint(show_project)),
    ]


async def version(call: Call) -> web.Response:
    return reply({"version": call.world.settings.version, "revision": "simulated"})


async def current_user(call: Call) -> web.Response:
    return reply({**views.full_user(call.world, call.user), "email": f"{call.user.username}@x.y"})


async def list_users(call: Call) -> web.Response:
    wanted = call.text("username").lower()
    people = [u for u in call.world.users.values() if not wanted or u.username.lower() == wanted]
    return page_of(call, people, lambda page: [views.user(call.world, u) for u in page])


async def show_user(call: Call) -> web.Response:
    found = call.world.users.get(call.path_number("user_id"))
    if found is None:
        raise not_found("User")
    return reply(views.full_user(call.world, found))


async def own_token(call: Call) -> web.Response:
    token = call.token
    return reply(
        {
            "id": 1,
            "name": token.name,
            "revoked": False,
            "created_at": views.iso(token.created_at),
            "scopes": sorted(token.scopes),
            "user_id": token.user.id,
            "last_used_at": None,
            "active": True,
            "expires_at": token.expires_at,
        }
    )


async def list_projects(call: Call) -> web.Response:
    return _project_page(call, list(call.world.projects.values()))


async def group_projects(call: Call) -> web.Response:
    prefix = call.request.match_info["group"].lower() + "/"
    every = call.world.projects.values()
    found = [p for p in every if p.path_with_namespace.lower().startswith(prefix)]
    if not any(project.visible_to(call.user) for project in found):
        raise not_found("Group")
    return _project_page(call, found)


def _project_page(call: Call, projects: list[Project]) -> web.Response:
    visible = [project for project in projects if project.visible_to(call.user)]
    return page_of(call, visible, lambda page: [views.project(p) for p in page])


async def show_project(call: Call) -> web.Response:
    project = call.project()
    level = project.access_level(call.user)
    access = {"access_level": level, "notification_level": 3} if level else None
    permissions = {"project_access": access, "group_access": None}
    return reply({**views.project(project), "permissions": permissions})
