"""A proposed change becomes one commit on its branch, or a reply that says why it does not.

Called by `commands` for `ChangesProposed`, under the lease of the merge request or issue.
"""

from __future__ import annotations

import msgspec
import structlog

from libs.common.errors import Permanent, Temporary
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import ChangesProposed, TaskRequested
from libs.common.git.change import Pushed, PushOrder
from libs.common.git.errors import GitError
from libs.common.git.push_errors import BranchTaken, MovedBranch, PatchDoesNotApply
from libs.common.gitlab.errors import Conflict, Forbidden, Invalid, NotFound
from services.publisher.ci_file import config_path, local_includes
from services.publisher.declined import declined
from services.publisher.orders import Proposal, patch_policy, push_order, target_of
from services.publisher.patches import PatchPolicy
from services.publisher.ports import Ports
from services.publisher.replies import Reply, not_pushed, superseded

log = structlog.get_logger()
_MOST_CI_FILES = 4
"""Read of one commit; what is included by others is not known. Bounds the calls of a task."""
_LOST = "What the session handed in is not kept any more. Please ask again."


class OnBranch(msgspec.Struct, frozen=True, kw_only=True):
    """The task's commit, pushed now or before; `onto` is the newer head below it, if any."""

    pushed: Pushed
    onto: str = ""


async def commit(result: Recorded, request: TaskRequested, ports: Ports) -> OnBranch | Reply:
    """Once or again: the branch ends with one commit of this task."""
    assert isinstance(result.event, ChangesProposed)  # noqa: S101  # narrowed by the caller
    try:
        patch = await _patch(result.event, ports)
    except Permanent as error:
        log.warning("the patch is gone", task_id=request.task_id, why=str(error))
        return not_pushed("failed", "patch lost", _LOST)
    proposal = Proposal(result=result.event, patch=patch, at=result.time)
    order = push_order(proposal, request, ports.rules, ports.policy)
    try:
        why = await _too_late(request, ports)
        if why:
            found = await ports.repository.pushed(order)
            return OnBranch(pushed=found) if found else superseded(why)
        policy = patch_policy(request, ports.rules, await _ci_files(request, ports))
        return await _push(order, policy, ports)
    except GitError as error:
        if isinstance(error, Temporary):
            raise
        log.warning("change not pushed", task_id=request.task_id, why=str(error))
        return declined(error, ports.policy)


async def _patch(result: ChangesProposed, ports: Ports) -> bytes:
    return result.patch if result.stored is None else await ports.artifacts.get(result.stored)


async def _too_late(request: TaskRequested, ports: Ports) -> str:
    """Why nothing is to be pushed any more; a head that moved is for git to judge."""
    if request.asked_in is None:
        return ""
    try:
        mr = await ports.gitlab.merge_request(request.project_id, request.iid)
    except NotFound:
        return "the merge request is gone"
    return "" if mr.state == "opened" else f"the merge request is {mr.state}"


async def _push(order: PushOrder, policy: PatchPolicy, ports: Ports) -> OnBranch:
    """One more try, on the new head, when the branch has moved."""
    try:
        return OnBranch(pushed=await ports.repository.push(order, policy, ports.check))
    except BranchTaken:
        raise
    except MovedBranch as moved:
        if not moved.tip:
            # It moved during the push: where to is seen at the next look.
            raise Temporary(str(moved), delay=2.0) from None
        onto = msgspec.structs.replace(order, onto_sha=moved.tip)
        try:
            pushed = await ports.repository.push(onto, policy, ports.check)
        except PatchDoesNotApply:
            raise moved from None
        return OnBranch(pushed=pushed, onto=moved.tip)


async def _ci_files(request: TaskRequested, ports: Ports) -> tuple[str, ...]:
    """The CI file and what it includes, in the target and, where it differs, in the source."""
    target = target_of(request)
    places = [(request.project_id, request.target_branch)]
    if not target.new_branch:
        places.append((target.project_id, request.head_sha))
    named: list[str] = []
    try:
        project = await ports.gitlab.project(request.project_id)
        path = config_path(project.ci_config_path)
        for where, ref in places:
            await _included(path, named, ports, where=where, ref=ref)
    except (Conflict, Forbidden, Invalid, NotFound) as error:
        log.warning("the CI file cannot be read", task_id=request.task_id, why=str(error))
    return tuple(dict.fromkeys(named))


async def _included(path: str, named: list[str], ports: Ports, *, where: int, ref: str) -> None:
    """Adds the CI file, what it includes, and what the first of those include, to `named`."""
    waiting, seen = [path], {path}
    read = 0
    while waiting:
        file = waiting.pop(0)
        named.append(file)
        if read == _MOST_CI_FILES or "*" in file:
            continue
        read += 1
        found = local_includes(await ports.gitlab.file(where, file, ref) or b"")
        waiting += [name for name in found if name not in seen]
        seen.update(found)
