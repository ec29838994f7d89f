"""What people who asked are told: replies in a thread and comments on an issue. Pure.

Called by `commands`. Foreign text passes the firewall first. No line begins as a command would,
so that no reply starts the next round. Golden files in tests/data/golden/notes show the texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    FailureReason,
    NothingToDo,
    Outcome,
    Refused,
    RefusedCode,
    TaskFailed,
    TaskKind,
    TaskRequested,
    Usage,
)
from services.publisher.firewall import SUMMARY_CHARS, Policy
from services.publisher.markers import marker
from services.publisher.wording import count, file_name, footer, note, plain, safe

REPLY = "reply"
"""The item of a reply's marker."""
_MOST_FILES = 20
_WORK: dict[TaskKind, str] = {"review": "review", "ask": "answer", "coding": "code change"}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a task's end; `text` is Markdown, without marker and footer."""

    outcome: Outcome
    text: str
    why: str = ""
    """For the record, short and without a text of people."""
    usage: Usage = Usage()
    seconds: float = 0.0


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """The task's commit as people see it."""

    sha: str
    web_url: str
    branch: str
    files: tuple[str, ...]
    onto: str = ""
    """The newer head it was put on, when the branch had moved."""
    pipelines_skipped: bool = False


HELP = """\
**What you can ask for**, at the start of a note on a merge request:

- `/copilot review`: a fresh review of the newest commit.
- `/copilot ask why is this locked twice?`: an answer; no code is touched.
- `/copilot rename the method and its callers`: anything else is a change of code. It is \
committed to the source branch.
- `/copilot help`: this text.

Reviews and answers need the role Reporter or more, code changes the role Developer and the right \
to push to the source branch; an operator may ask for more. Code changes are made for the head \
that was there when you wrote, never on the default branch or a protected one."""

_REFUSED: dict[RefusedCode, str] = {
    "access": "That needs {needed} in this project. Somebody who has it can ask for it instead.",
    "moved": (
        "The branch has other commits now than when this was asked for, so nothing was changed. "
        "Please look at them, and ask again if you still want it."
    ),
    "protected": (
        "That branch is the default branch or a protected one, and the agent does not push there. "
        "Please ask in a merge request that comes from a branch of its own."
    ),
    "no_branch": (
        "The branch to change is not there any more. Restore it, or ask in another merge request."
    ),
    "fork": (
        "This merge request comes from a fork that takes no commits from here. Its author can "
        "tick *Allow commits from members who can merge to the target branch*; then ask again."
    ),
    "closed": "Only open merge requests are worked on. Reopen it, then ask again.",
    "internal_note": (
        "This is an internal note, and what comes of it could be read by more people than may "
        "read the note. Please ask in a note that everybody here may read."
    ),
    "restricted_issue": (
        "This issue is hidden from some people by its security level, and a merge request could "
        "be read by more. Remove the level, or describe the work in an open issue."
    ),
    "no_project": (
        "The GitLab project for this work cannot be read. An operator should look at "
        "JIRA_PROJECT_MAP and at what the agent's tokens may see."
    ),
    "budget": (
        "That is more than the agent may do in so short a time. Please ask again later; "
        "an operator can raise the limit."
    ),
}
_REFUSED_ISSUE: dict[RefusedCode, str] = {
    "protected": (
        "The name of the new branch is covered by a protected branch of the project, and the agent "
        "does not push there. A Maintainer can change the pattern; then move the issue back."
    ),
    "no_branch": (
        "The target branch is not there, or all names for a new branch are taken. Somebody should "
        "look at the branches of this issue, and an operator at JIRA_PROJECT_MAP."
    ),
    "budget": (
        "That is more than the agent may do in so short a time. Please move the issue back later; "
        "an operator can raise the limit."
    ),
}
_FAILED: dict[FailureReason, str] = {
    "clone": "The repository could not be fetched from GitLab. This often passes by itself.",
    "auth": "The agent was not let in: an operator has to renew one of its tokens.",
    "timeout": "It was not done after {minutes} and was stopped. A smaller task takes less time.",
    "model": "The language model did not answer, or did not take the work.",
    "no_result": "The agent ended without handing in anything. Other words may help.",
    "launch": "It could not be started, also not after several tries; an operator should look.",
    "internal": "Something went wrong inside the agent. An operator finds it by the task id.",
}


def pushed(result: ChangesProposed, commit: Commit, *, policy: Policy) -> Reply:
    """A change that is on its branch."""
    short = commit.sha[:8]
    short = f"[{short}]({commit.web_url})" if commit.web_url else f"`{short}`"
    text = [f"**Done:** commit {short} on {file_name(commit.branch)}."]
    if commit.onto:
        text[0] += f" The branch had moved meanwhile; the change is on top of `{commit.onto[:8]}`."
    if result.summary.strip():
        text.append(safe(result.summary, msgspec.structs.replace(policy, max_chars=SUMMARY_CHARS)))
    text += changed_files("Changed", commit.files)
    text += changed_files("Changed during the work and left out of the commit", result.left_out)
    if commit.pipelines_skipped:
        text.append(
            "No pipeline was started for this commit, so that a person looks at it first. "
            "To start one, use *New pipeline* in the merge request's *Pipelines* tab."
        )
    return Reply(
        outcome="posted",
        text="\n\n".join(text),
        usage=result.usage,
        seconds=sum(result.stages.values()),
    )


def not_pushed(outcome: Outcome, why: str, sentence: str) -> Reply:
    """A change that does not go in; `sentence` is safe and says what would help."""
    return Reply(outcome=outcome, text=f"**The change was not made.** {sentence}", why=why)


def answered(result: Answered, *, policy: Policy) -> Reply:
    if result.help:
        return Reply(outcome="posted", text=HELP)
    long = msgspec.structs.replace(policy, max_chars=SUMMARY_CHARS)
    return Reply(
        outcome="posted",
        text=safe(result.answer, long) or "*The answer was empty.*",
        usage=result.usage,
        seconds=sum(result.stages.values()),
    )


def nothing_to_do(result: NothingToDo, *, policy: Policy) -> Reply:
    said = safe(result.summary, policy)
    return Reply(
        outcome="posted",
        text="\n\n".join(part for part in ("**Nothing was changed.**", said) if part),
        why="nothing to do",
        usage=result.usage,
        seconds=sum(result.stages.values()),
    )


def refused(result: Refused, request: TaskRequested) -> Reply:
    words = _REFUSED | (_REFUSED_ISSUE if request.issue else {})
    role = f"the role {plain(result.needed)} or more" if result.needed else "a higher role"
    return Reply(
        outcome="refused",
        text=words[result.code].format(needed=role),
        why=result.code,
    )


def failed(result: TaskFailed, request: TaskRequested) -> Reply:
    """As the standing notice says it, but to one person, who has to ask again."""
    minutes = count(max(1, request.limits.timeout // 60), "minute")
    again = "move the issue back" if request.issue else "ask again"
    what = _FAILED[result.reason].format(minutes=minutes)
    return Reply(
        outcome="failed",
        text=f"**No {_WORK.get(request.kind, 'result')} this time.** {what} "
        f"If you still want it, {again}.",
        why=result.reason,
        seconds=sum(result.stages.values()),
    )


def superseded(by: str) -> Reply:
    return Reply(
        outcome="superseded",
        text=f"**This was left:** {plain(by).rstrip('.') or 'it is not needed any more'}. "
        "If you still want it, ask again.",
        why=by,
    )


def reply_body(reply: Reply, request: TaskRequested) -> str:
    """The note as it goes to GitLab."""
    end = footer(request, reply.usage, reply.seconds)
    return note([reply.text, "---", end], marker(request.task_id, REPLY))


def changed_files(label: str, paths: Sequence[str]) -> list[str]:
    """A list with a label; nothing when there are none."""
    if not paths:
        return []
    lines = [f"- {file_name(path)}" for path in paths[:_MOST_FILES]]
    if len(paths) > _MOST_FILES:
        lines.append(f"- and {count(len(paths) - _MOST_FILES, 'more file')}")
    return [f"{label}:\n\n" + "\n".join(lines)]
