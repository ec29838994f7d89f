"""`gca forget 42`, `gca forget PROJ`: takes all about a project out of the log (SR-42)."""

from __future__ import annotations

import argparse
import re

from libs.common.errors import AgentError
from libs.common.jetstream import forgetting
from libs.common.jetstream.forgetting import Kept
from services.ops.confirming import Ask, agreed, typed
from services.ops.doctor.situation import Situation
from services.ops.opened import opened_log
from services.ops.screen import count
from services.ops.terminal import Terminal

_PROJECT = re.compile(r"[1-9][0-9]{0,18}|[A-Z][A-Z0-9_]{0,63}")
_MOST_ISSUES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "project", metavar="PROJECT", help="project id of GitLab, or project key of Jira"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what there is")
    parser.add_argument("--yes", action="store_true", help="do not ask")


async def run(
    given: argparse.Namespace, situation: Situation, terminal: Terminal, *, ask: Ask = typed
) -> int:
    """Show what is kept, ask, take it out; 1 when the answer is no."""
    scope = checked(given.project)
    async with opened_log(situation) as connection:
        kept = await forgetting.look(connection, scope)
        for line in lines(scope, kept):
            terminal.write(line)
        if kept.is_nothing or given.dry_run:
            return 0
        if not await agreed("Forget it for good?", yes=given.yes, ask=ask):
            terminal.write("nothing was forgotten")
            return 1
        await forgetting.forget(connection, kept)
    terminal.write("forgotten; what is said in GitLab and Jira, and log files, are not touched")
    return 0


def checked(text: str) -> str:
    """The project as subjects have it; raises `AgentError`."""
    if not _PROJECT.fullmatch(text):
        raise AgentError(
            f"{text[:60]!r} is no project: write its id, such as 42 (GitLab: Settings > General),"
            " or a key of Jira, such as PROJ"
        )
    return text


def lines(scope: str, kept: Kept) -> list[str]:
    """What there is, and what brings it back; pure."""
    if kept.is_nothing:
        return [f"the log has nothing about {scope}"]
    numbers = (
        count(kept.events, "event"),
        count(kept.dead_letters, "dead letter"),
        count(len(kept.artifacts), "large text"),
    )
    found = [f"{scope}: {', '.join(numbers)}"]
    if kept.issues:
        shown = ", ".join(kept.issues[:_MOST_ISSUES])
        hidden = len(kept.issues) - _MOST_ISSUES
        more = f" and {hidden} more" if hidden > 0 else ""
        found.append(f"with all about {shown}{more}: issues whose tasks changed its code")
    found.append(
        "what is open there comes again while webhooks or the poller bring it: "
        "take it out of GITLAB_PROJECTS or JIRA_PROJECT_MAP first"
    )
    return found
