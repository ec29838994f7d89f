"""What people do in GitLab and Jira during a run: seeded, and written down to be judged later.

Half of the merge requests get commands for code. On those nobody rewrites history, so that every
commit that was made can still be found on its branch.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from tests.chaos.world import World
from tests.e2e.system import TRIGGER_STATUS
from tests.simulators.gitlab import Delivery, MergeRequest, Note, Project
from tests.simulators.gitlab.state import DEVELOPER, REPORTER, User
from tests.simulators.jira import Issue

PROJECTS_OF = 10
"""Merge requests that share a project."""
OUT_OF_ORDER = 0.06
TWICE = 0.1
ISSUES = 0.03


@dataclass
class Command:
    """A note that asks for something."""

    mr: MergeRequest
    note: Note
    text: str


@dataclass(eq=False)
class Work:
    """A merge request to be, or that is: what has been done with it."""

    project: Project
    branch: str
    people: tuple[User, ...]
    """A developer, a reporter, and somebody who is no member."""
    takes_code: bool
    mr: MergeRequest | None = None
    pushes: int = 0


@dataclass
class People:
    """`live` does things until GitLab has sent `webhooks` of them."""

    world: World
    rng: random.Random
    webhooks: int
    merge_requests: int
    pace: float
    """Longest pause between two actions, in seconds."""
    commands: list[Command] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    acts: int = 0
    """Things done that a webhook tells of."""
    twice: int = 0
    mixed: int = 0
    _mixing: asyncio.Task[None] | None = None
    _left: int = 0

    async def live(self) -> None:
        self._prepare()
        while self.acts < self.webhooks or any(work.mr is None for work in self.works):
            await self._act()
            await self._mix()
            if self.rng.random() < TWICE:
                await self._send_twice()
            if self.rng.random() < ISSUES:
                self._write_issue()
            await asyncio.sleep(self.rng.uniform(0, self.pace))
        if not self.issues:
            self._write_issue()
        await self._release()

    def _prepare(self) -> None:
        gitlab = self.world.gitlab
        for number in range(0, self.merge_requests, PROJECTS_OF):
            name = f"team{number // PROJECTS_OF}"
            project = gitlab.create_project(f"{name}/app", files={"README.md": f"# {name}\n"})
            gitlab.commit(project, branch="release", files={"NEWS.md": "None.\n"})
            people = (
                gitlab.add_user(f"{name}-dev", project=project, access_level=DEVELOPER),
                gitlab.add_user(f"{name}-reporter", project=project, access_level=REPORTER),
                gitlab.add_user(f"{name}-stranger"),
            )
            for one in range(number, min(number + PROJECTS_OF, self.merge_requests)):
                self.works.append(Work(project, f"topic-{one}", people, takes_code=one % 2 == 0))

    async def _act(self) -> None:
        unborn = [work for work in self.works if work.mr is None]
        born = [work for work in self.works if work.mr is not None]
        if unborn and (not born or self.rng.random() < 0.4):
            await self._open(unborn[0])
            return
        work = self.rng.choice(born)
        choices = [
            (self._push, 8), (self._change_draft, 3), (self._change_state, 2),
            (self._retarget, 1), (self._ask, 6),
        ]  # fmt: skip
        if not work.takes_code:
            choices.append((self._rewrite, 1))
        act = self.rng.choices([a for a, _ in choices], [weight for _, weight in choices])[0]
        await act(work)

    async def _open(self, work: Work) -> None:
        self.world.gitlab.commit(work.project, branch=work.branch, files=self._files(work))
        work.mr = await self.world.gitlab.open_merge_request(
            work.project,
            source_branch=work.branch,
            title=f"Add {work.branch}",
            draft=self.rng.random() < 0.2,
        )
        self.acts += 1

    def _files(self, work: Work) -> dict[str, str]:
        work.pushes += 1
        lines = [f"{work.branch} line {n} of push {work.pushes}\n" for n in range(1, 4)]
        return {f"{work.branch}.txt": "".join(lines)}

    async def _push(self, work: Work) -> None:
        await self.world.gitlab.push(work.project, branch=work.branch, files=self._files(work))
        self.acts += _is_open(work)

    async def _rewrite(self, work: Work) -> None:
        """Force-push to an older head, and now and then back again."""
        assert work.mr is not None
        heads = [version.head_sha for version in work.mr.versions]
        back = self.rng.choice(heads)
        if back == heads[-1]:
            return
        await self.world.gitlab.force_push(work.project, branch=work.branch, sha=back)
        self.acts += _is_open(work)
        if self.rng.random() < 0.5:
            await self.world.gitlab.force_push(work.project, branch=work.branch, sha=heads[-1])
            self.acts += _is_open(work)

    async def _change_draft(self, work: Work) -> None:
        assert work.mr is not None
        if work.mr.draft:
            await self.world.gitlab.mark_ready(work.mr)
            self.acts += 1
        elif self.rng.random() < 0.4:
            await self.world.gitlab.mark_draft(work.mr)

    async def _change_state(self, work: Work) -> None:
        assert work.mr is not None
        if work.mr.state == "closed":
            await self.world.gitlab.reopen(work.mr)
        elif self.rng.random() < 0.6:
            await self.world.gitlab.close(work.mr)
        else:
            return
        self.acts += 1

    async def _retarget(self, work: Work) -> None:
        assert work.mr is not None
        other = "release" if work.mr.target_branch == "main" else "main"
        await self.world.gitlab.retarget(work.mr, other)
        self.acts += _is_open(work)

    async def _ask(self, work: Work) -> None:
        assert work.mr is not None
        number = len(self.commands)
        texts = ["/copilot review", f"/copilot ask What is {number}?", "/copilot help"]
        texts += [f"@copilot-agent add file {number}", f"/copilot add file {number}"] * (
            2 if work.takes_code else 0
        )
        text = self.rng.choice(texts)
        who = self.rng.choices(work.people, (8, 1, 1))[0]
        note = await self.world.gitlab.comment(work.mr, text, as_user=who)
        assert note is not None
        self.commands.append(Command(work.mr, note, text))
        self.acts += 1

    def _write_issue(self) -> None:
        jira = self.world.jira
        number = len(self.issues)
        where = jira.world.projects["PROJ"]
        issue = jira.create_issue(where, f"Add feature {number}", description="It is needed.")
        jira.move(issue, TRIGGER_STATUS)
        self.issues.append(issue)

    # --- deliveries ---------------------------------------------------------------

    async def _send_twice(self) -> None:
        told = [d for d in self.world.gitlab.deliveries if d.status == 202]
        if told:
            chosen: Delivery = self.rng.choice(told)
            gitlab = self.world.gitlab
            again = gitlab.resend if self.rng.random() < 0.5 else gitlab.duplicate
            gitlab.world.webhooks.run_later(asyncio.create_task(_sent(again(chosen))))
            self.twice += 1

    async def _mix(self) -> None:
        """Hold some deliveries back, then let them go in another order."""
        if self._left:
            self._left -= 1
            if not self._left:
                await self._release()
        elif self.rng.random() < OUT_OF_ORDER and (self._mixing is None or self._mixing.done()):
            self.world.gitlab.hold_webhooks()
            self._left = self.rng.randint(2, 5)

    async def _release(self) -> None:
        def shuffled(held: list[Delivery]) -> list[Delivery]:
            self.mixed += len(held)
            return self.rng.sample(held, len(held))

        if self._mixing is not None:
            await self._mixing
        self._mixing = asyncio.create_task(self.world.gitlab.release_webhooks(shuffled))
        self._left = 0

    async def settle(self) -> None:
        """Wait until all that was held back is sent."""
        if self._mixing is not None:
            await self._mixing
        await self.world.gitlab.settle()


async def _sent(sending: object) -> None:
    await sending  # type: ignore[misc]  # a coroutine of either call


def _is_open(work: Work) -> bool:
    return work.mr is not None and work.mr.state == "opened"
