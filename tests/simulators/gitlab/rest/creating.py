"""Creating a merge request: who may, what is refused and how, quick actions in the description.

Words and statuses of reference section 2.7 (API::MergeRequests and MergeRequest's validations).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from tests.simulators.gitlab import merge_requests as life
from tests.simulators.gitlab import quick_actions, views
from tests.simulators.gitlab.api import Call, endpoint, reply
from tests.simulators.gitlab.errors import forbidden, invalid, message, not_found
from tests.simulators.gitlab.state import DEVELOPER, GUEST

from .merge_requests import MERGE_REQUESTS

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import MergeRequest, Project

MAX_TITLE = 255
MAX_DESCRIPTION = 1_048_576
_REQUIRED = ("title", "source_branch", "target_branch")


def routes() -> list[web.RouteDef]:
    return [web.post(MERGE_REQUESTS, endpoint(create))]


async def create(call: Call) -> web.Response:
    source = call.project()
    missing = [f"{name} is missing" for name in _REQUIRED if name not in call.params]
    if missing:
        raise invalid(", ".join(missing))
    if source.access_level(call.user) < DEVELOPER or source.archived:
        raise forbidden()
    target = _target(call, source)
    _validate(call, source, target)
    extracted = quick_actions.extract(call.text("description"))
    collaboration = call.flag("allow_maintainer_to_push")
    record = life.open_merge_request(
        call.world,
        call.user,
        source_project=source,
        project=target,
        source_branch=call.text("source_branch"),
        target_branch=call.text("target_branch"),
        title=call.text("title"),
        description=extracted.text,
        allow_collaboration=call.flag("allow_collaboration", default=collaboration),
        labels=_labels(call),
    )
    quick_actions.run(call.world, record, call.user, extracted.commands)
    return reply(views.single_merge_request(call.world, record), 201)


def _target(call: Call, source: Project) -> Project:
    """Return the project that is asked to merge; without target_project_id the source itself."""
    wanted = call.number("target_project_id", source.id)
    target = call.world.projects.get(wanted)
    if target is None or not target.visible_to(call.user):
        raise not_found("Project")
    if target.visibility != "public" and target.access_level(call.user) < GUEST:
        raise forbidden()
    return target


def _labels(call: Call) -> list[str]:
    given = call.params.get("labels")
    listed = given if isinstance(given, list) else str(given or "").split(",")
    return [str(label).strip() for label in listed if str(label).strip()]


def _validate(call: Call, source: Project, target: Project) -> None:
    """Refuse in GitLab's order: 422 for whole-record problems, 409 for a twin, 400 for fields."""
    branches = call.text("source_branch"), call.text("target_branch")
    if source is target and branches[0] == branches[1]:
        raise message(422, ["You can't use same project/branch for source and target"])
    if source is not target and source.forked_from is not target:
        raise message(422, ["Source project is not a fork of the target project"])
    twin = _open_twin(source, target, branches)
    if twin is not None:
        text = "Another open merge request already exists for this source branch"
        raise message(409, [f"{text}: !{twin.iid}"])
    problems = _field_problems(call, source, target)
    if problems:
        raise message(400, problems)


def _open_twin(source: Project, target: Project, branches: tuple[str, str]) -> MergeRequest | None:
    same = (
        record
        for record in target.merge_requests.values()
        if record.state == "opened"
        and record.source_project is source
        and (record.source_branch, record.target_branch) == branches
    )
    return next(same, None)


def _field_problems(call: Call, source: Project, target: Project) -> dict[str, list[str]]:
    problems: dict[str, list[str]] = {}
    if not call.text("title").strip():
        problems["title"] = ["can't be blank"]
    for name, most in (("title", MAX_TITLE), ("description", MAX_DESCRIPTION)):
        if len(call.text(name)) > most:
            problems[name] = [f"is too long (maximum is {most} characters)"]
    for name, project in (("source_branch", source), ("target_branch", target)):
        if project.repository.branch(call.text(name)) is None:
            problems[name] = ["does not exist"]
    return problems
