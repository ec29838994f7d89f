"""Pipelines of a project and of a merge request, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.simulators.gitlab import views
from tests.simulators.gitlab.api import Call, endpoint, reply
from tests.simulators.gitlab.errors import not_found
from tests.simulators.gitlab.pagination import page_of

from .merge_requests import ONE
from .projects import PROJECT

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import Pipeline, Project

PIPELINES = PROJECT + "/pipelines"
_FILTERS = ("ref", "sha", "source", "status")


def routes() -> list[web.RouteDef]:
    return [
        web.get(PIPELINES, endpoint(list_pipelines)),
        web.get(PIPELINES + "/{pipeline_id}", endpoint(show)),
        web.get(ONE + "/pipelines", endpoint(list_of_merge_request)),
    ]


def _shown(project: Project, one: Pipeline) -> dict[str, Any]:
    return {
        "id": one.id,
        "iid": one.iid,
        "project_id": project.id,
        "sha": one.sha,
        "ref": one.ref,
        "status": one.status,
        "source": one.source,
        "created_at": views.iso(one.created_at),
        "updated_at": views.iso(one.created_at),
        "web_url": f"{project.web_url}/-/pipelines/{one.id}",
    }


async def list_pipelines(call: Call) -> web.Response:
    project = call.code()
    wanted = {name: call.text(name) for name in _FILTERS if call.text(name)}
    found = [
        one
        for one in reversed(project.pipelines)
        if all(getattr(one, name) == value for name, value in wanted.items())
    ]
    return page_of(call, found, lambda page: [_shown(project, one) for one in page])


async def show(call: Call) -> web.Response:
    project = call.code()
    wanted = call.path_number("pipeline_id")
    found = next((one for one in project.pipelines if one.id == wanted), None)
    if found is None:
        raise not_found()
    user = views.user(call.world, found.user)
    return reply({**_shown(project, found), "user": user})


async def list_of_merge_request(call: Call) -> web.Response:
    record = call.merge_request()
    project = record.source_project or record.project
    heads = {version.head_sha for version in record.versions}
    found = [one for one in reversed(project.pipelines) if one.sha in heads]
    return page_of(call, found, lambda page: [_shown(project, one) for one in page])
