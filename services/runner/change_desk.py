"""Where a change is handed in: counts refusals and remembers the best there is, as `desk` does.

`coding` calls it for each `submit_change` and asks it at the end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from libs.common.git.errors import GitError
from services.runner import submission
from services.runner.desk import HOPELESS, MAX_MESSAGE, REFUSALS, Answer
from services.runner.own_git import MOST_FILES, Proposal
from services.runner.submission import SubmittedChange

LONGEST_SUBJECT = 72
LONGEST_SUMMARY = 8_000
LONGEST_NAMES = 200_000
"""Bytes of all names together: beside the patch they travel in the event."""
MOST_PROBLEMS = 15
Propose = Callable[[Sequence[str]], Awaitable[Proposal]]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into the result; without files it says that there was nothing to do."""

    subject: str
    summary: str
    proposal: Proposal = Proposal()


class ChangeDesk:
    """One session's desk; `accepted` is set once, `best` also after refusals only."""

    def __init__(self, propose: Propose) -> None:
        self._propose = propose
        self._refusals = 0
        self._tries = 0
        self._last: Change | None = None
        self.accepted: Change | None = None

    async def submit(self, arguments: object) -> Answer:
        """Take the change, or refuse it with words that help to mend it."""
        if self.accepted is not None:
            return Answer(accepted=True, text="The change was submitted already.")
        self._tries += 1
        given = submission.parsed(SubmittedChange, arguments)
        if isinstance(given, list):
            return _refusal("The arguments do not fit.", given)
        if given.nothing_to_do and not given.files:
            self.accepted = Change(subject="", summary=given.summary[:LONGEST_SUMMARY])
            return Answer(accepted=True, text="Recorded that there is nothing to do.")
        try:
            return await self._judged(given)
        except GitError as error:
            return _refusal("The files could not be read.", [str(error)])

    @property
    def hopeless(self) -> bool:
        return self.accepted is None and self._tries >= HOPELESS

    @property
    def best(self) -> Change | None:
        """The accepted change, else the good part of the last one that was refused."""
        return self.accepted or self._last

    async def _judged(self, given: SubmittedChange) -> Answer:
        problems = _word_problems(given)
        if _too_much(given.files):
            return _refusal("Nothing was recorded.", [*problems, f"at most {MOST_FILES} files"])
        proposal = await self._propose(given.files)
        problems += proposal.problems
        if not proposal.files:
            return _refusal("Nothing was recorded.", [*problems, NO_CHANGE])
        change = Change(
            subject=one_line(given.subject) or one_line(given.summary),
            summary=given.summary[:LONGEST_SUMMARY],
            proposal=proposal,
        )
        self._last = change
        if problems and self._refusals < REFUSALS:
            self._refusals += 1
            return _refusal("Nothing was recorded yet.", problems)
        self.accepted = change
        return Answer(accepted=True, text=f"Recorded a change of {len(proposal.files)} files.")


NO_CHANGE = (
    "no file of the repository is changed by this: edit files and name them, or say "
    "nothing_to_do with the reason in summary"
)


def one_line(text: str) -> str:
    """At most a subject's length, cut between words."""
    line = " ".join(text.split())
    if len(line) <= LONGEST_SUBJECT:
        return line
    head = line[: LONGEST_SUBJECT + 1].rpartition(" ")[0]
    return head or line[:LONGEST_SUBJECT]


def _word_problems(given: SubmittedChange) -> list[str]:
    problems = []
    subject = given.subject.strip()
    if not subject:
        problems.append("subject: say in one line what the commit does")
    elif len(subject) > LONGEST_SUBJECT or "\n" in subject:
        problems.append(
            f"subject: one line of at most {LONGEST_SUBJECT} characters, this has {len(subject)}"
        )
    if given.nothing_to_do:
        problems.append("nothing_to_do: is true, but files are named; it must be one of the two")
    if not given.files:
        problems.append("files: name every file that you changed on purpose")
    return problems


def _too_much(files: Sequence[str]) -> bool:
    return len(files) > MOST_FILES or sum(len(name.encode()) for name in files) > LONGEST_NAMES


def _refusal(opening: str, problems: list[str]) -> Answer:
    shown = problems[:MOST_PROBLEMS]
    if len(problems) > MOST_PROBLEMS:
        shown.append(f"and {len(problems) - MOST_PROBLEMS} more")
    lines = "\n".join(f"- {problem}" for problem in shown)
    text = f"{opening}\n{lines}"[:MAX_MESSAGE]
    return Answer(
        accepted=False, text=f"{text}\nMend this and call submit_change again with all of it."
    )
