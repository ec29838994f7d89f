"""One run of chaos from start to verdict; called by the tests and by `python -m tests.chaos`."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.judging import Verdict, events, judge, judge_after_the_end, unfinished
from tests.chaos.people import People
from tests.chaos.resending import Resending
from tests.chaos.trouble import Killer, Sower, until_quiet
from tests.chaos.world import World, running_world


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how hard; seconds where not said otherwise."""

    seed: int
    webhooks: int
    merge_requests: int
    nodes: int = 1
    poll: bool = False
    """GitLab's poller finds what no webhook told; else somebody presses Resend."""
    pace: float = 0.1
    kill_every: tuple[float, float] = (0.6, 2.0)
    fault_every: tuple[float, float] = (0.2, 0.8)
    slow_faults: int = 2
    hang: bool = False
    real_sessions: int = 3
    blind: bool = False
    rest: float = 90.0
    """Longest that no event may follow while something is still open."""


@dataclass
class Report:
    """What happened, and whether it ended well."""

    plan: Plan
    verdict: Verdict = field(default_factory=Verdict)
    kills: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    webhooks: int = 0
    accepted: int = 0
    resent: int = 0
    twice: int = 0
    mixed: int = 0
    commands: int = 0
    issues: int = 0
    seconds: float = 0.0
    restless: str = ""
    """Why it did not come to rest in time."""
    troubles: str = ""

    @property
    def good(self) -> bool:
        return self.verdict.good and not self.restless

    def __str__(self) -> str:
        verdict = self.verdict
        kills = ", ".join(f"{name} {number}" for name, number in sorted(self.kills.items()))
        outcomes = ", ".join(f"{what} {n}" for what, n in sorted(verdict.outcomes.items()))
        lines = [
            self._what_was_done(),
            f"  {self.commands} commands, {self.issues} issues, {verdict.tasks} tasks, {outcomes}",
            f"  kills {sum(self.kills.values())} ({kills}), faults {self.faults}",
            self._what_came_of_it(),
        ]
        if not self.good:
            lines += [str(verdict), f"NOT AT REST: {self.restless}" if self.restless else ""]
            lines.append(f"repeat: python -m tests.chaos --seed {self.plan.seed}")
            lines.append(self.troubles)
        return "\n".join(line for line in lines if line)

    def _what_was_done(self) -> str:
        how = "polled" if self.plan.poll else f"{self.resent} resent"
        return (
            f"seed {self.plan.seed}: {self.webhooks} webhooks over {self.plan.merge_requests} "
            f"merge requests, NATS on {self.plan.nodes}; {self.accepted} accepted, "
            f"{self.twice} sent twice, {self.mixed} out of order, {how}"
        )

    def _what_came_of_it(self) -> str:
        found = self.verdict
        return (
            f"  events {found.events}, commits {found.commits}, lost {len(found.lost)}, "
            f"doubled {len(found.doubled)}, left behind {len(found.left)}, "
            f"seconds {self.seconds:.0f}"
        )


async def run(plan: Plan, folder: Path) -> Report:
    """Raises nothing of what it finds: that is in the report."""
    started = time.monotonic()
    report = Report(plan)
    async with running_world(folder, nodes=plan.nodes, poll=plan.poll, blind=plan.blind) as world:
        people = await _live(plan, world, report)
        report.restless = await _rest(world, people, plan)
        report.verdict = await judge(world, people)
        _judge_real(world, report)
        await world.stop_services()
        await judge_after_the_end(world, report.verdict)
        report.webhooks, report.twice, report.mixed = people.acts, people.twice, people.mixed
        report.commands, report.issues = len(people.commands), len(people.issues)
        report.accepted = sum(d.status == 202 for d in world.gitlab.deliveries)
        report.troubles = world.screen.getvalue()[-1500:]
    report.seconds = time.monotonic() - started
    return report


async def _live(plan: Plan, world: World, report: Report) -> People:
    people = People(
        world=world,
        rng=random.Random(f"{plan.seed} people"),
        webhooks=plan.webhooks,
        merge_requests=plan.merge_requests,
        pace=plan.pace,
    )
    killer = Killer(world, random.Random(f"{plan.seed} kills"), plan.kill_every)
    sower = Sower(
        world, random.Random(f"{plan.seed} faults"), plan.fault_every, plan.slow_faults, plan.hang
    )
    resending = Resending(world)
    resends = contextlib.nullcontext() if plan.poll else _beside(resending)
    sower.sow_first()
    async with resends:
        async with _beside(killer), _beside(sower):
            await _open_real(world, plan.real_sessions)
            await people.live()
        report.kills = killer.kills
        report.faults = sower.struck()
        sower.clear()
        await until_quiet(world)
        await people.settle()
    report.resent = resending.resent
    return people


@contextlib.asynccontextmanager
async def _beside(loop: Killer | Sower | Resending) -> AsyncIterator[None]:
    """Runs beside the block; ends, in order, soon after it."""
    stopping = asyncio.Event()
    task = asyncio.create_task(loop.run(stopping))
    try:
        yield
    finally:
        stopping.set()
        await task


async def _rest(world: World, people: People, plan: Plan) -> str:
    """Wait until nothing moves any more; else why not."""
    calm, length, moved_at = 0, -1, time.monotonic()
    while calm < 3:
        await world.gitlab.settle()
        why = await unfinished(world) or _missing(people)
        calm = 0 if why else calm + 1
        now = await events(world)
        if now != length:
            length, moved_at = now, time.monotonic()
        if why and time.monotonic() - moved_at > plan.rest:
            return why
        await asyncio.sleep(0.3)
    return ""


def _missing(people: People) -> str:
    """What no event has told yet, so that the log may look at rest."""
    statuses = {issue.key: issue.status.name for issue in people.issues}
    return next((f"{key} is in {now}" for key, now in statuses.items() if now != "In Review"), "")


async def _open_real(world: World, sessions: int) -> None:
    """Merge requests whose Jobs are real."""
    for number in range(sessions):
        branch = f"real-{number}"
        world.gitlab.commit(world.real, branch=branch, files={"app.py": f"a\nprint({number})\nc\n"})
        await world.gitlab.open_merge_request(world.real, source_branch=branch)


def _judge_real(world: World, report: Report) -> None:
    for mr in world.real.merge_requests.values():
        ours = [n for n in mr.notes if n.author is world.gitlab.bot and "item=summary" in n.body]
        if len(ours) != 1:
            found = f"{mr.project_id}!{mr.iid} (real session): {len(ours)} summaries"
            (report.verdict.lost if not ours else report.verdict.doubled).append(found)
