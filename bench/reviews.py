"""Reviews through the whole system: waiting between its parts, session start, calls to GitLab.

Real services, nats-server, git and Copilot CLI; GitLab and the model are the simulators of the
tests. The time that the simulated GitLab takes for its answers is taken off.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrOpened
from libs.common.events.tasks import ReviewDone
from libs.common.launching import state
from libs.common.launching.state import JobFile
from services.runner.cli import find_cli, own_cache
from services.runner.session import PINNED_CLI
from tests.e2e.system import System, running_system
from tests.simulators.gitlab import LoggedRequest, MergeRequest

FINDINGS = (0, 5, 20)
_NAMES = (
    (re.compile(r"/(\d+|[0-9a-f]{40})(?=/|$)"), "/:id"),
    (re.compile(r"/branches/[^/]+$"), "/branches/:name"),
    (re.compile(r"/files/[^/]+(?=/|$)"), "/files/:path"),
)
"""What differs between calls of one kind, as GitLab's documentation writes it."""


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """One review; all times in seconds."""

    findings: int
    placed: int
    to_job: float
    """From the webhook's first byte at ingest to the Job's claim, without GitLab's answers."""
    to_step: float
    """The same to the Job's own process, which starts its first step."""
    to_last_call: float
    """From the result in the log to the publisher's last answer, without GitLab's answers."""
    session: float
    """From the start of the step's process to the session that is ready for its prompt."""
    session_stage: float
    """Of that, the Copilot CLI and its session (the result's stage `start`)."""
    stages: dict[str, float]
    calls: dict[str, int]
    fetches: int

    @property
    def writes(self) -> int:
        return sum(n for call, n in self.calls.items() if not call.startswith("GET"))


async def measure(folder: Path, *, times: int, findings: Iterable[int] = FINDINGS) -> list[Review]:
    """`times` reviews of each number of findings, in order; the first is also the system's."""
    home = folder / "home"
    home.mkdir(parents=True)
    settings = {"HOME": str(home), "COPILOT_CLI_PATH": str(installed_cli())}
    async with running_system(folder, settings=settings) as system:
        return [
            await review(system, f"bench/app{number}-{turn}", number)
            for number in findings
            for turn in range(times)
        ]


def installed_cli() -> Path:
    """The CLI as set-up left it; its unpacked files go to a home of our own, empty at first."""
    caches = os.environ.get("XDG_CACHE_HOME")
    return find_cli(None, PINNED_CLI, own_cache(Path(caches) if caches else None, Path.home()))


async def review(system: System, path: str, findings: int) -> Review:
    """One merge request with so many findings, from its opening to its last note."""
    gitlab = system.gitlab
    project = gitlab.create_project(path, files={"app.py": "import shop\n"})
    lines = [f"value_{n} = eval(shop.field_{n})\n" for n in range(findings)]
    text = "".join(["import shop\n", *lines, "total = 1\n"])
    gitlab.commit(project, branch="topic", files={"app.py": text})
    gitlab.requests.clear()
    mr = await gitlab.open_merge_request(project, source_branch="topic")
    published = await system.review_of(mr, seconds=120)
    if published.outcome != "posted" or len(published.discussion_ids) != findings:
        raise RuntimeError(f"{findings} findings, but: {published}")
    history = await system.history(mr)
    return _measured(system, mr, history, list(gitlab.requests), published.task_id)


def _measured(
    system: System,
    mr: MergeRequest,
    history: list[Recorded],
    requests: list[LoggedRequest],
    task_id: str,
) -> Review:
    job = job_folder(system.folder / "tasks", task_id)
    claim = state.read(job / state.JOB, JobFile)
    if claim is None:
        raise RuntimeError(f"there is no Job of {task_id}")
    seen = next(r for r in history if isinstance(r.event, MrOpened))
    arrived = _arrived(system.folder / "logs" / "ingest.log", mr, seen.message_id)
    launched = datetime.fromtimestamp(claim.launched_at, arrived.tzinfo)
    up = datetime.fromtimestamp((job / state.SUPERVISOR).stat().st_mtime, arrived.tzinfo)
    result = next(r for r in history if isinstance(r.event, ReviewDone))
    assert isinstance(result.event, ReviewDone)
    calls = [request for request in requests if request.path.startswith("/api/")]
    late = [request for request in calls if request.started >= result.time]
    end = max(request.started + timedelta(seconds=request.seconds) for request in late)
    asked = answering(calls, arrived, launched)
    return Review(
        findings=len(result.event.findings),
        placed=len(late),
        to_job=(launched - arrived).total_seconds() - asked,
        to_step=(up - arrived).total_seconds() - asked,
        to_last_call=(end - result.time).total_seconds() - answering(late, result.time, end),
        session=_session_start(job),
        session_stage=result.event.stages.get("start", 0.0),
        stages=result.event.stages,
        calls=dict(Counter(kind(request) for request in calls)),
        fetches=len(requests) - len(calls),
    )


def answering(calls: Iterable[LoggedRequest], since: datetime, until: datetime) -> float:
    """Seconds that GitLab was busy with calls which began within; they follow one another."""
    return sum(call.seconds for call in calls if since <= call.started <= until)


def kind(request: LoggedRequest) -> str:
    """Method and route, so that calls of one kind count together."""
    route = request.path.removeprefix("/api/v4")
    for pattern, name in _NAMES:
        route = pattern.sub(name, route)
    return f"{request.method} {route}"


def job_folder(tasks: Path, task_id: str) -> Path:
    """The Job's folder, also when it has ended and is kept on the shelf."""
    for file in (*tasks.glob(f"*/{state.JOB}"), *tasks.glob(f".ended/*/{state.JOB}")):
        claim = state.read(file, JobFile)
        if claim is not None and claim.task_id == task_id:
            return file.parent
    raise RuntimeError(f"there is no Job of {task_id}")


def _arrived(log: Path, mr: MergeRequest, event_id: str) -> datetime:
    """When the webhook's handler began, by its log line."""
    for line in _lines(log):
        if line.get("event") == "webhook answered" and line.get("event_id") == event_id:
            milliseconds = float(line["milliseconds"])
            return _time(line) - timedelta(milliseconds=milliseconds)
    raise RuntimeError(f"ingest has not logged the webhook of {mr.web_url}")


def _session_start(job: Path) -> float:
    """From the second step's start, when its supervisor last wrote the list of steps."""
    for line in _lines(job / "run.log"):
        if line.get("event") == "session started":
            return _time(line).timestamp() - (job / state.STEPS).stat().st_mtime
    raise RuntimeError("the runner has not logged its session")


def _lines(log: Path) -> list[dict[str, str]]:
    text = log.read_text(encoding="utf-8", errors="replace")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _time(line: dict[str, str]) -> datetime:
    return datetime.fromisoformat(line["timestamp"])
