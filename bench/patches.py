"""A patch of 10 MB from the task door over the store and the publisher to its branch.

The Job is played here: the bench appends its task, mints its token and hands in the result. Real
ingest, publisher, nats-server and git; what git takes is noted by a `git` in front of the real one
in the services' PATH, and what the simulated GitLab takes for its answers by its log.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import msgspec

from libs.common import subjects
from libs.common.events.envelope import NewEvent, Recorded, encode
from libs.common.events.tasks import (
    ChangesProposed,
    DiffRefs,
    Issue,
    PushTarget,
    Requester,
    TaskPublished,
    TaskRequested,
)
from libs.common.launching.token import mint
from tests.e2e.system import DOOR_SECRET, System, running_system
from tests.fixtures import nats
from tests.simulators.gitlab import LoggedRequest, Project

SERVICES = ("ingest", "publisher")
SIZE = 10_000_000
"""Bytes of the patch; the task door takes 10 MiB."""
FILES = 10
_LINE = "the totals are rounded once, line {:>9} of the words we add\n"
_PASS_ON = """#!/bin/bash
began=$EPOCHREALTIME
{git} "$@"
code=$?
echo "$began $EPOCHREALTIME" >> {times}
exit $code
"""

Span = tuple[float, float]
"""From and to, in seconds since 1970."""


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """Of one patch, in seconds; `own` is what is left of `whole` without git and GitLab."""

    size: int
    door: float
    """Until the door answered: the patch is in the store and its event in the log."""
    whole: float
    """From the first byte at the door to the record of the commit in the log."""
    git: float
    gitlab: float

    @property
    def own(self) -> float:
        return self.whole - self.git - self.gitlab


async def measure(folder: Path, *, times: int, size: int = SIZE) -> list[Passage]:
    """`times` patches, one after the other, each to a new branch."""
    noted = folder / "git-times"
    path = f"{_git_in_front(folder, noted)}:{os.environ['PATH']}"
    async with running_system(folder, settings={"PATH": path}, services=SERVICES) as system:
        project = system.gitlab.create_project("bench/app", files={"README.md": "# App\n"})
        return [
            await _pass(system, _request(project, number), patch_of(size, number), noted)
            for number in range(1, times + 1)
        ]


def _git_in_front(folder: Path, noted: Path) -> Path:
    """A folder for PATH with a `git` that passes on and notes when it began and ended."""
    git = shutil.which("git")
    if git is None:
        raise RuntimeError("git is not installed")
    made = folder / "bin" / "git"
    made.parent.mkdir(parents=True)
    made.write_text(_PASS_ON.format(git=git, times=noted))
    made.chmod(0o755)
    return made.parent


async def _pass(system: System, request: TaskRequested, patch: bytes, noted: Path) -> Passage:
    subject = subjects.task_published(request.scope, request.ref, request.task_id)
    await _append(system, request)
    system.gitlab.requests.clear()
    result = ChangesProposed(
        task_id=request.task_id,
        head_sha=request.head_sha,
        subject="Add words",
        summary="Words are there now.",
        files=tuple(_names(int(request.ref))),
        patch=patch,
    )
    body = encode(result)
    began = time.time()
    await _handed_in(system, request, body)
    door = time.time() - began

    async def published() -> Recorded | None:
        return await system.log.last(subject)

    record = await system.until(published, "the commit", seconds=120)
    assert isinstance(record, Recorded)
    event = record.event
    if not isinstance(event, TaskPublished) or event.outcome != "posted" or not event.commit_sha:
        raise RuntimeError(f"a patch of {len(patch)} bytes, but: {event}")
    ended = record.time.timestamp()
    return Passage(
        size=len(patch),
        door=door,
        whole=ended - began,
        git=covered(_spans(noted), began, ended),
        gitlab=covered(_answers(system.gitlab.requests), began, ended),
    )


async def _handed_in(system: System, request: TaskRequested, body: bytes) -> None:
    port = system.services["ingest"].environment["TASK_DOOR_PORT"]
    url = f"http://127.0.0.1:{port}/tasks/{request.task_id}/result"
    token = mint(DOOR_SECRET, request.task_id, request.expires_at)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as answer,
    ):
        if answer.status != 201:
            raise RuntimeError(f"the task door answered {answer.status}: {await answer.text()}")


def _request(project: Project, number: int) -> TaskRequested:
    head = project.repository.branch("main")
    return TaskRequested(
        task_id=f"coding-BENCH-{number}-1",
        kind="coding",
        scope="BENCH",
        ref=str(number),
        project_id=project.id,
        iid=0,
        clone_url=project.http_url,
        web_url=project.web_url,
        source_branch=f"agent/BENCH-{number}",
        target_branch="main",
        diff_refs=DiffRefs(base_sha=head, start_sha=head, head_sha=head),
        title="Add words",
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        requester=Requester(name="Alice Ash", account_id="alice"),
        issue=Issue(key=f"BENCH-{number}"),
        push=PushTarget(
            project_id=project.id,
            clone_url=project.http_url,
            branch=f"agent/BENCH-{number}",
            new_branch=True,
            never_to=("main",),
        ),
    )


async def _append(system: System, request: TaskRequested) -> None:
    """The task's request; there is no coder here that would start a Job for it."""
    subject = subjects.task_requested(request.scope, request.ref, request.task_id)
    await system.log.create(
        NewEvent(
            subject=subject,
            event=request,
            message_id=f"{request.task_id}-requested",
            source="bench",
            time=datetime.now(UTC),
        )
    )

    async def settled() -> bool:
        return await nats.settled(system.connection, "publisher")

    await system.until(settled, "the publisher to have seen the request")


def _names(number: int) -> list[str]:
    return [f"words/{number}-{file}.txt" for file in range(FILES)]


def patch_of(size: int, number: int) -> bytes:
    """New files of text, as git writes them; `size` bytes, less a line of each."""
    made, share = [], size // FILES
    for name in _names(number):
        head = f"diff --git a/{name} b/{name}\nnew file mode 100644\nindex {'0' * 40}..{'0' * 40}\n"
        head += f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,9999999 @@\n"
        count = (share - len(head)) // (len(_LINE.format(0)) + 1)
        lines = [_LINE.format(line) for line in range(count)]
        text = "".join(lines).encode()
        blob = hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()
        head = head.replace(f"..{'0' * 40}", f"..{blob}").replace("9999999", str(count))
        made.append(head + "".join(f"+{line}" for line in lines))
    return "".join(made).encode()


def _spans(noted: Path) -> list[Span]:
    lines = noted.read_text().splitlines() if noted.exists() else []
    return [(float(began), float(ended)) for began, ended in map(str.split, lines)]


def _answers(requests: Iterable[LoggedRequest]) -> list[Span]:
    """When the simulated GitLab worked; git's own requests are part of git."""
    return [
        (began, began + request.seconds)
        for request in requests
        if request.path.startswith("/api/")
        for began in [request.started.timestamp()]
    ]


def covered(spans: Sequence[Span], since: float, until: float) -> float:
    """Seconds of the time in which any of them was under way."""
    total, reached = 0.0, since
    for began, ended in sorted(spans):
        first, last = max(began, reached), min(ended, until)
        if last > first:
            total, reached = total + last - first, last
    return total
