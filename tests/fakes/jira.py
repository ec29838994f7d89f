"""Jira in memory, as ingest and the publisher see it through the door.

Held to `tests.contract.jira_door` together with the real door. Its workflow leads from everywhere
to every status, until a test takes ways away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common.errors import AgentError
from libs.common.jira import adf
from libs.common.jira.client import chosen
from libs.common.jira.errors import Invalid, NotFound, NoTransition, TimedOut
from libs.common.jira.jql import checked_key, ready_query
from libs.common.jira.models import Change, ChangeItem, Comment, Issue, Transition, User

BOT = User(id="712020:bot", display_name="Copilot Agent", email="copilot-agent@example.com")
ALICE = User(id="712020:alice", display_name="Alice Ash", email="alice@example.com")
URL = "https://jira.test"
STATUSES = ("To Do", "AI Ready", "In Progress", "In Review", "Done")


class FakeJira:
    """Every call is written to `calls`.

    Each error put into `fail_next` is raised by one later call before that call does anything.
    Each name put into `lose_answers` lets one later call of that name do its work and time out.
    """

    def __init__(self, *projects: str) -> None:
        self.me = BOT
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.projects = set(projects or ("PROJ",))
        self.ways: tuple[str, ...] = STATUSES
        self.issues: dict[str, Issue] = {}
        self.history: dict[str, list[Change]] = {}
        self.written: dict[str, list[Comment]] = {}
        self.calls: list[str] = []
        self.fail_next: list[AgentError] = []
        self.lose_answers: list[str] = []
        self._last_id = 10_000

    # --- what people and tests do ---------------------------------------------------

    def add_issue(self, project: str = "PROJ", *, status: str = "To Do", **fields: Any) -> str:
        key = f"{project}-{1 + sum(issue.project_key == project for issue in self.issues.values())}"
        known: dict[str, Any] = {
            "id": self._next_id(),
            "summary": "Do something",
            "creator": ALICE,
            "created": self.now,
            "updated": self.now,
            "web_url": f"{URL}/browse/{key}",
        }
        placed = {"status": status, "status_id": _status_id(status)}
        self.issues[key] = Issue(key=key, **(known | placed | fields))
        self.history[key], self.written[key] = [], []
        return key

    def change(self, issue_key: str, **fields: Any) -> None:
        """Other fields from now on, without a word in the history."""
        fields = {"updated": self.now} | fields
        self.issues[issue_key] = msgspec.structs.replace(self.issues[issue_key], **fields)

    def move(self, issue_key: str, status: str, by: User = ALICE) -> str:
        before = self.issues[issue_key]
        moved = Change(
            id=self._next_id(),
            author=by,
            created=self.now,
            items=(
                ChangeItem(
                    field="status",
                    from_id=before.status_id,
                    from_name=before.status,
                    to_id=_status_id(status),
                    to_name=status,
                ),
            ),
        )
        self.history[issue_key].append(moved)
        self.change(issue_key, status=status, status_id=_status_id(status))
        return moved.id

    def comment(
        self, issue_key: str, body: str, by: User = ALICE, *, restricted: bool = False
    ) -> Comment:
        made = Comment(
            id=self._next_id(), author=by, body=body, created=self.now, restricted=restricted
        )
        self.written[issue_key].append(made)
        return made

    def bodies(self, issue_key: str) -> list[str]:
        return [comment.body for comment in self.written[issue_key]]

    # --- the port -------------------------------------------------------------------

    async def current_user(self) -> User:
        self._called("current_user")
        return self.me

    async def ready_issues(
        self, project_keys: Iterable[str], status: str, *, updated_within: timedelta | None = None
    ) -> AsyncIterator[Issue]:
        keys = set(project_keys)
        ready_query(keys, status, updated_within=updated_within)
        self._called("ready_issues")
        if not keys <= self.projects:
            raise Invalid("Jira answered 400: a value does not exist for the field 'project'.")
        if status not in STATUSES:
            raise Invalid("Jira answered 400: a value does not exist for the field 'status'.")
        oldest = self.now - updated_within if updated_within else None
        for issue in list(self.issues.values()):
            late = oldest is not None and (issue.updated is None or issue.updated < oldest)
            if issue.project_key in keys and issue.status == status and not late:
                yield issue

    async def issue(self, issue_key: str) -> Issue:
        return self._issue("issue", issue_key)

    async def changelog(self, issue_key: str) -> list[Change]:
        self._issue("changelog", issue_key)
        return list(self.history[issue_key])

    async def transitions(self, issue_key: str) -> list[Transition]:
        self._issue("transitions", issue_key)
        return self._ways()

    async def transition(
        self, issue_key: str, status: str, *, only_from: Collection[str] = ()
    ) -> bool:
        issue = self._issue("transition", issue_key)
        if issue.status.casefold() == status.casefold():
            return False
        if only_from and issue.status.casefold() not in {name.casefold() for name in only_from}:
            return False
        way = chosen(self._ways(), status)
        if way is None:
            offered = ", ".join(map(repr, self.ways))
            raise NoTransition(f"offered are {offered}, not {status!r}; see JIRA_IN_REVIEW_STATUS")
        self.move(issue_key, way.to_status, self.me)
        self._lose("transition")
        return True

    async def comments(self, issue_key: str) -> list[Comment]:
        self._issue("comments", issue_key)
        return list(self.written[issue_key])

    async def add_comment(self, issue_key: str, document: dict[str, Any]) -> Comment:
        self._issue("add_comment", issue_key)
        text = adf.to_text(document)
        if not text:
            raise Invalid("Jira answered 400: comment: Comment body can not be empty!", status=400)
        made = self.comment(issue_key, text, self.me)
        self._lose("add_comment")
        return made

    def _ways(self) -> list[Transition]:
        return [
            Transition(
                id=str(number), name=f"To {name}", to_status=name, to_status_id=_status_id(name)
            )
            for number, name in enumerate(self.ways, 11)
        ]

    def _issue(self, call: str, issue_key: str) -> Issue:
        checked_key(issue_key)
        self._called(call)
        if issue_key not in self.issues:
            raise NotFound("Jira answered 404: Issue does not exist", status=404)
        return self.issues[issue_key]

    def _called(self, call: str) -> None:
        self.calls.append(call)
        if self.fail_next:
            raise self.fail_next.pop(0)

    def _lose(self, call: str) -> None:
        if call in self.lose_answers:
            self.lose_answers.remove(call)
            raise TimedOut("Jira did not answer in time", maybe_done=True)

    def _next_id(self) -> str:
        self._last_id += 1
        return str(self._last_id)


def _status_id(status: str) -> str:
    return str(100 + STATUSES.index(status))
