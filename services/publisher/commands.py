"""Ends of tasks that a person asked for: what is done, said in the thread or on the issue.

Called by `handlers` for every such end but a review. Every step is harmless the second time.
"""

from __future__ import annotations

import msgspec
import structlog

from libs.common.errors import Permanent
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    NothingToDo,
    Refused,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
    Write,
)
from libs.common.gitlab.errors import Conflict, Forbidden, Invalid, NotFound
from services.publisher import replies
from services.publisher.changes import OnBranch, commit
from services.publisher.issues import comment, merge_request_of, move
from services.publisher.orders import target_of
from services.publisher.ports import Ports
from services.publisher.records import outcome, published_already, record_published
from services.publisher.replies import Reply, not_pushed
from services.publisher.threads import CROSS, say, settle, stays_in_thread, tell
from services.publisher.wording import file_name, plain

log = structlog.get_logger()


async def publish_end(result: Recorded, request: TaskRequested, *, ports: Ports) -> None:
    """Do and say what this end calls for, then record it."""
    if request.asked_in is None and request.issue is None:
        raise Permanent(f"nobody asked for task {request.task_id}, so nobody can be told")
    if await published_already(request, ports):
        return
    async with ports.alone(request) as alone:
        event = await _published(result, request, alone)
        await record_published(event, result, request, alone)


async def _published(result: Recorded, request: TaskRequested, ports: Ports) -> TaskPublished:
    end = result.event
    if isinstance(end, Superseded) and end.next_task_id:
        # The next task speaks, and its eyes stay on the note.
        return outcome(request, "superseded", end.by)
    if isinstance(end, ChangesProposed):
        return await _change(result, request, ports)
    reply = _reply(result, request, ports)
    if isinstance(end, Refused) and end.quiet:
        writes: list[Write] = []
        if request.asked_in is not None:
            await settle("", request, ports)
    elif request.issue is not None:
        writes = await comment(reply, request, ports)
    elif isinstance(end, Refused):
        writes = await say(reply, request, ports, only_there=stays_in_thread(end))
        writes += await settle(CROSS, request, ports)
    else:
        writes = await tell(reply, request, ports)
    return _record(reply, writes, request)


def _reply(result: Recorded, request: TaskRequested, ports: Ports) -> Reply:
    match result.event:
        case Answered() as end:
            return replies.answered(end, policy=ports.policy)
        case NothingToDo() as end:
            return replies.nothing_to_do(end, policy=ports.policy)
        case Refused() as end:
            return replies.refused(end, request)
        case TaskFailed() as end:
            return replies.failed(end, request)
        case Superseded() as end:
            return replies.superseded(end.by)
    raise Permanent(f"{type(result.event).__name__} is no end that a person is told of")


async def _change(result: Recorded, request: TaskRequested, ports: Ports) -> TaskPublished:
    done = await commit(result, request, ports)
    if isinstance(done, Reply):
        tells = comment if request.issue is not None else tell
        return _record(done, await tells(done, request, ports), request)
    if request.issue is not None:
        return await _for_issue(done, result, request, ports)
    return await _for_note(done, result, request, ports)


async def _for_note(
    done: OnBranch, result: Recorded, request: TaskRequested, ports: Ports
) -> TaskPublished:
    assert isinstance(result.event, ChangesProposed)  # noqa: S101  # narrowed by the caller
    shown = _commit(done, request.web_url, request, ports)
    reply = replies.pushed(result.event, shown, policy=ports.policy)
    writes = [_write(shown), *await tell(reply, request, ports)]
    return _with_commit(_record(reply, writes, request), shown)


async def _for_issue(
    done: OnBranch, result: Recorded, request: TaskRequested, ports: Ports
) -> TaskPublished:
    assert isinstance(result.event, ChangesProposed)  # noqa: S101  # narrowed by the caller
    try:
        mr = await merge_request_of(result.event, request, ports)
    except (Conflict, Forbidden, Invalid, NotFound) as error:
        shown = _commit(done, "", request, ports)
        reply = _without_merge_request(error, shown, ports)
        writes = [_write(shown), *await comment(reply, request, ports)]
        return _with_commit(_record(reply, writes, request), shown)
    shown = _commit(done, mr.web_url, request, ports)
    reply = replies.pushed(result.event, shown, policy=ports.policy)
    writes = [
        _write(shown),
        Write(what="merge_request", id=str(mr.iid), web_url=mr.web_url),
        *await comment(reply, request, ports, mr.web_url),
        *await move(ports.rules.in_review, request, ports),
    ]
    record = _with_commit(_record(reply, writes, request), shown)
    return msgspec.structs.replace(record, merge_request_iid=mr.iid, web_url=mr.web_url)


def _without_merge_request(error: Exception, shown: replies.Commit, ports: Ports) -> Reply:
    sentence = (
        f"The commit `{shown.sha[:8]}` is on the branch {file_name(shown.branch)}, but GitLab "
        f"made no merge request of it: {plain(str(error), ports.policy)}"
    )
    return not_pushed("failed", "no merge request", sentence)


def _commit(done: OnBranch, page: str, request: TaskRequested, ports: Ports) -> replies.Commit:
    """`page` is the merge request's: it shows commits of forks, too."""
    sha = done.pushed.sha
    return replies.Commit(
        sha=sha,
        web_url=f"{page}/diffs?commit_id={sha}" if page else "",
        branch=target_of(request).branch,
        files=done.pushed.files,
        onto=done.onto,
        pipelines_skipped=ports.rules.skip_pipelines,
    )


def _write(shown: replies.Commit) -> Write:
    return Write(what="commit", id=shown.sha, web_url=shown.web_url)


def _with_commit(record: TaskPublished, shown: replies.Commit) -> TaskPublished:
    return msgspec.structs.replace(record, commit_sha=shown.sha, branch=shown.branch)


def _record(reply: Reply, writes: list[Write], request: TaskRequested) -> TaskPublished:
    note = next((write for write in writes if write.what == "note"), None)
    return msgspec.structs.replace(
        outcome(request, reply.outcome, reply.why),
        summary_note_id=int(note.id) if note else None,
        web_url=note.web_url if note else next((w.web_url for w in writes if w.web_url), ""),
        writes=tuple(writes),
    )
