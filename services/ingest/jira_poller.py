"""Looks at Jira at intervals, and logs each issue that entered the trigger status, once.

`run` is one of the service's loops where there is a Jira. One replica polls, by lease; a Jira that
is away or refuses us ends nothing: it is said once, and asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Protocol

import msgspec
import structlog

from libs.common import metrics, telemetry
from libs.common.clock import Clock
from libs.common.errors import AgentError, cut
from libs.common.events.envelope import NewEvent
from libs.common.events.log import Created
from libs.common.jira.errors import (
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from libs.common.jira.models import Change, Issue
from services.ingest.jira_issues import (
    UNEXPLAINED,
    WORDS,
    Looked,
    Ready,
    Rules,
    Skipped,
    judge,
)
from services.ingest.leased_polling import Lease, Leases, Peer, Said, looked, poll

log = structlog.get_logger()
SOURCE = "ingest/jira"
LEASE = "poll.jira"
PEER = Peer(name="Jira", metric="jira_polls", unauthorized=Unauthorized, limited=RateLimited)
MOST_SICK = 3
"""Issues that Jira may fail to show before the rest waits for the next look."""


class Jira(Protocol):
    """The calls of Jira that the poller makes."""

    def ready_issues(self, project_keys: Iterable[str], status: str) -> AsyncIterator[Issue]: ...

    async def issue(self, issue_key: str) -> Issue: ...

    async def changelog(self, issue_key: str) -> list[Change]: ...


class Log(Protocol):
    """The call of the event log that the poller makes."""

    async def create(self, new: NewEvent) -> Created: ...


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """What the poller works with."""

    jira: Jira
    log: Log
    leases: Leases
    clock: Clock


class JiraPoller:
    """Polls every `interval` seconds; `trouble` is a detail of `readyz`."""

    is_behind = False

    def __init__(self, ports: Ports, rules: Rules, interval: float) -> None:
        self.said = Said("jira")
        self._ports = ports
        self._rules = rules
        self._interval = interval
        self._looked = Looked()

    async def trouble(self) -> str | None:
        """What only an operator can mend; a Jira that is away is no trouble of ours."""
        return self.said.to_mend

    async def run(self, stopping: asyncio.Event) -> None:
        """Wait for the lease and poll under it, until `stopping`."""
        leases = self._ports.leases
        await poll(self, leases, LEASE, interval=self._interval, stopping=stopping)

    async def cycle(self, lease: Lease, stopping: asyncio.Event) -> AgentError | None:
        """One look at Jira; what went wrong is said, counted and returned."""
        return await looked(self._look(lease, stopping), PEER, self.said)

    async def _look(self, lease: Lease, stopping: asyncio.Event) -> list[str]:
        """Find issues and look at those that changed; problems that stop no other issue."""
        found, problems = await self._search()
        sick = 0
        for issue in found:
            if stopping.is_set() or not lease.valid():
                return problems
            if not self._looked.is_news(issue):
                continue
            try:
                await self._look_at(issue)
            except (Unavailable, TimedOut) as error:
                sick += 1
                if sick >= MOST_SICK or len(found) == 1:
                    raise
                problems.append(f"{issue.key}: {error}")
        self._looked.keep(issue.key for issue in found)
        return problems

    async def _search(self) -> tuple[list[Issue], list[str]]:
        """The issues in the status; a project that Jira does not know does not hide the others."""
        keys = sorted(self._rules.projects)
        try:
            return await self._found(keys), []
        except Invalid:
            if len(keys) == 1:
                raise
        found, problems = [], []
        for key in keys:
            try:
                found += await self._found([key])
            except Invalid as error:
                problems.append(f"{key}: {error}")
        if len(problems) == len(keys):
            raise Invalid(problems[0].partition(": ")[2])
        return found, problems

    async def _found(self, keys: list[str]) -> list[Issue]:
        search = self._ports.jira.ready_issues(keys, self._rules.status)
        return [issue async for issue in search]

    async def _look_at(self, found: Issue) -> None:
        """Read the issue again and decide; the search may lag behind."""
        key = {"gca.issue_key": found.key}
        with telemetry.span("jira issue", parent="", attributes=key) as span:
            try:
                issue = await self._ports.jira.issue(found.key)
                judged = judge(
                    issue,
                    await self._ports.jira.changelog(issue.key),
                    self._rules,
                    self._ports.clock.now(),
                )
                outcome = await self._acted(issue, judged)
            except (NotFound, Forbidden, Invalid) as error:
                issue, outcome = found, "gone"
                log.info("issue cannot be read", issue_key=found.key, reason=str(error))
            span.set({"gca.outcome": outcome})
        if outcome != UNEXPLAINED or not self._looked.is_worth_another(found):
            self._looked.done(found, issue)
        metrics.count("jira_issues", outcome=outcome)

    async def _acted(self, issue: Issue, judged: Ready | Skipped) -> str:
        """The outcome, once the event is in the log, or once it is said why there is none."""
        if isinstance(judged, Skipped):
            log.info(
                "issue skipped",
                issue_key=issue.key,
                outcome=judged.outcome,
                reason=WORDS[judged.outcome],
                account_id=cut(judged.account),
            )
            return judged.outcome
        created = await self._ports.log.create(
            NewEvent(
                subject=judged.subject,
                event=judged.event,
                message_id=judged.message_id,
                source=SOURCE,
                time=self._ports.clock.now(),
                traceparent=telemetry.current(),
            )
        )
        if created.first:
            log.info("issue is ready", issue_key=issue.key, event_id=judged.message_id)
        return "ready" if created.first else "known"
