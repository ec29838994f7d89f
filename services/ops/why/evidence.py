"""Everything that is known of a merge request or an issue when somebody asks why.

Gathered by `services.ops.seen`, judged by `review`, `command` and `issue`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from libs.common import reviewing
from libs.common.events.envelope import Recorded
from libs.common.events.facts import JiraReady, MrOpened, NoteCommand
from libs.common.events.tasks import Refused, Result, TaskPublished, TaskRequested
from libs.common.gitlab.models import MergeRequest
from libs.common.jetstream.inspection import ConsumerState
from libs.common.jetstream.letters import DeadLetter
from libs.common.launching.launches import Attempts


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the answer depends on.

    `live` is the merge request as GitLab shows it now; without it `gitlab_problem` says why, and
    `gone` that GitLab does not know it. `decision` is the reviewer's for the newest event.
    `held` are tasks with a slot, of `slots`. `ignored` says by note id why a command is left alone.
    """

    history: tuple[Recorded, ...] = ()
    live: MergeRequest | None = None
    gitlab_problem: str = ""
    gone: bool = False
    decision: reviewing.Decision | None = None
    allowed: bool | None = None
    letters: tuple[DeadLetter, ...] = ()
    reviewer: ConsumerState | None = None
    coder: ConsumerState | None = None
    publisher: ConsumerState | None = None
    held: frozenset[str] = frozenset()
    slots: int = 1
    launches: dict[str, Attempts] = {}
    ignored: dict[int, str] = {}
    trigger_status: str = ""
    """Of an issue: what JIRA_TRIGGER_STATUS is."""

    def opened(self) -> Recorded | None:
        """The newest event that could have led to a review."""
        found = [record for record in self.history if isinstance(record.event, MrOpened)]
        return max(found, key=lambda record: record.seq, default=None)

    def task(self) -> TaskRequested | None:
        """The newest review task; one that was refused takes no review away."""

        def counts(task: TaskRequested) -> bool:
            result = self.result(task.task_id)
            return task.kind == "review" and not (result and isinstance(result.event, Refused))

        return self.newest(counts)

    def newest(self, fits: Callable[[TaskRequested], bool]) -> TaskRequested | None:
        """The newest task of this kind."""
        found = [
            (record.seq, record.event)
            for record in self.history
            if isinstance(record.event, TaskRequested) and fits(record.event)
        ]
        return max(found, key=lambda each: each[0])[1] if found else None

    def commands(self) -> list[Recorded]:
        """The notes that called the agent, oldest first."""
        return [record for record in self.history if isinstance(record.event, NoteCommand)]

    def ready(self) -> Recorded | None:
        """The newest time that the issue came into the trigger status."""
        found = [record for record in self.history if isinstance(record.event, JiraReady)]
        return max(found, key=lambda record: record.seq, default=None)

    def result(self, task_id: str) -> Recorded | None:
        for record in self.history:
            if isinstance(record.event, Result) and record.event.task_id == task_id:
                return record
        return None

    def published(self, task_id: str) -> TaskPublished | None:
        for record in self.history:
            if isinstance(record.event, TaskPublished) and record.event.task_id == task_id:
                return record.event
        return None
