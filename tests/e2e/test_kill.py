"""SIGKILL of each service between any two of its effects: one review at the end, never two."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from libs.common import subjects
from libs.common.diff import Diff, Refusal, line_text, locate, parse_diff
from libs.common.events.envelope import AnyEvent, NewEvent
from libs.common.events.tasks import DiffRefs, Finding, ReviewDone
from services.ops.services import wait_ready
from services.ops.show import Screen
from tests.e2e.system import System, running_system
from tests.samples import review_request
from tests.simulators.gitlab import Delivery, MergeRequest, Project

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.timeout(300)]
MOST_REQUESTS = 60


async def open_merge_request(system: System, number: int) -> MergeRequest:
    project = system.gitlab.create_project(f"shop/app{number}", files={"app.py": "a\nb\nc\n"})
    system.gitlab.commit(project, branch="topic", files={"app.py": "a\nB\nc\nd\n"})
    return await system.gitlab.open_merge_request(project, source_branch="topic")


async def append(system: System, subject: str, event: AnyEvent) -> None:
    await system.log.create(
        NewEvent(subject=subject, event=event, message_id=subject, source="test", time=_now())
    )


def _now() -> datetime:
    return datetime.now(UTC)


async def review_is_done(system: System, mr: MergeRequest) -> str:
    """Put a request and its result into the log, as reviewer and task door would."""
    version = mr.versions[-1]
    refs = DiffRefs(
        base_sha=version.base_sha, start_sha=version.start_sha, head_sha=version.head_sha
    )
    request = review_request(
        refs.head_sha, project_id=mr.project.id, iid=mr.iid, web_url=mr.web_url, diff_refs=refs
    )
    task_id = request.task_id
    text = mr.project.repository.git("diff", "-U3", refs.base_sha, refs.head_sha)
    diff = parse_diff(text.decode())
    findings = tuple(
        _finding(diff, line, side) for line, side in ((2, "new"), (4, "new"), (2, "old"))
    )
    done = ReviewDone(task_id=task_id, head_sha=refs.head_sha, summary="Fine.", findings=findings)
    await append(system, subjects.task_requested(request.scope, request.ref, task_id), request)
    await append(system, subjects.task_result(request.scope, request.ref, task_id), done)
    return task_id


def _finding(diff: Diff, line: int, side: str) -> Finding:
    position = locate(diff, file="app.py", side=side, line=line)
    assert not isinstance(position, Refusal), position
    return Finding(
        file="app.py", side=side, line=line, end_line=line, severity="warning",
        comment=f"Look at {side} {line}.", position=position,
        line_text=line_text(diff, file="app.py", side=side, line=line) or "",
    )  # fmt: skip


async def settled(system: System, mr: MergeRequest) -> None:
    async def found() -> bool:
        return bool(await system.published(mr))

    await system.until(found, "the record of the publication", seconds=60)


@pytest.mark.parametrize("drafts_status", [None, 403], ids=["drafts", "one by one"])
async def test_publisher_killed_after_each_of_its_requests_leaves_one_review(
    tmp_path: Path, drafts_status: int | None
):
    settings = {"LEASE_SECONDS": "2"}
    async with running_system(tmp_path, services=("publisher",), settings=settings) as system:
        system.gitlab.settings.drafts_status = drafts_status
        kills = 0
        for number in itertools.count(1):
            assert number < MOST_REQUESTS, "the publisher makes ever more requests"
            fault = system.gitlab.faults.add(
                path="^/api/v4/projects", skip=number - 1, commit=True, hang=True
            )
            mr = await open_merge_request(system, number)
            await review_is_done(system, mr)

            async def struck(fault=fault, mr=mr) -> bool:
                return fault.times == 0 or bool(await system.published(mr))

            await system.until(struck, f"request {number} of the publisher", seconds=60)
            if fault.times > 0:
                break
            system.kill("publisher")
            kills += 1
            await settled(system, mr)

            inline = [d for d in system.gitlab.discussions(mr) if d.notes[0].position]
            plain = [d for d in system.gitlab.discussions(mr) if not d.notes[0].position]
            assert (3, 1) == (len(inline), len(plain)), f"killed after request {number}"
            assert [] == system.gitlab.drafts(mr), f"killed after request {number}"
            system.gitlab.faults.clear()
        assert kills >= 8


async def test_reviewer_killed_after_each_of_its_requests_asks_for_one_review(tmp_path: Path):
    async with running_system(tmp_path) as system:
        kills = 0
        for number in itertools.count(1):
            assert number < MOST_REQUESTS, "the reviewer makes ever more requests"
            fault = system.gitlab.faults.add(
                path="^/api/v4/projects", skip=number - 1, commit=True, hang=True
            )
            mr = await open_merge_request(system, number)

            async def struck(fault=fault, mr=mr) -> bool:
                return fault.times == 0 or bool(await system.requested(mr))

            await system.until(struck, f"request {number} of the reviewer", seconds=60)
            if fault.times > 0:
                system.gitlab.faults.clear()
                break
            system.kill("reviewer")
            kills += 1
            record = await system.review_of(mr, seconds=100)

            assert "posted" == record.outcome
            assert 1 == len(await system.requested(mr)), f"killed after request {number}"
            assert 1 == len([d for d in system.gitlab.discussions(mr) if not d.notes[0].position])
        assert kills >= 3


async def test_reviewer_killed_while_its_job_runs_finds_the_job_again(tmp_path: Path):
    async with running_system(tmp_path) as system:
        mr = await open_merge_request(system, 1)

        async def launched() -> bool:
            return bool(await system.launcher.jobs())

        await system.until(launched, "the Job to start")
        system.kill("reviewer")
        record = await system.review_of(mr)

        assert "posted" == record.outcome
        assert 1 == len({request.model for request in system.model.requests})
        prompts = [request for request in system.model.requests if len(request.messages) <= 2]
        assert 1 == len(prompts), "the session ran twice"


async def test_ingest_killed_again_and_again_loses_no_webhook_it_answered(tmp_path: Path):
    async with running_system(tmp_path, services=("ingest",)) as system:
        project = system.gitlab.create_project("shop/app", files={"app.py": "a\n"})
        for turn in range(8):
            for number in range(5):
                branch = f"t{turn}-{number}"
                system.gitlab.commit(project, branch=branch, files={"app.py": f"{branch}\n"})
                await system.gitlab.open_merge_request(project, source_branch=branch)
            before = system.pid("ingest")
            # Somewhere between the first answer and the last of the five.
            answered = len(_answered(system))
            await system.until(partial(_more_answers, system, answered), "an answer")
            system.kill("ingest")
            await system.gitlab.settle()
            await wait_ready([system.services["ingest"]], Screen(system.screen), system.stopping)
            assert before != system.pid("ingest")

        answered = _answered(system)
        seen = await system.log.subjects("mr.opened.>")
        expected = {_subject(project, delivery) for delivery in answered}
        assert len(answered) >= 8
        assert set() == expected - seen


def _more_answers(system: System, than: int) -> bool:
    return len(_answered(system)) > than


def _answered(system: System) -> list[Delivery]:
    return [d for d in system.gitlab.deliveries if d.status == 202]


def _subject(project: Project, delivery: Delivery) -> str:
    found = delivery.payload["object_attributes"]
    return subjects.mr_opened(project.id, found["iid"], found["last_commit"]["id"])
