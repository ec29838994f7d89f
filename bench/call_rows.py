"""From counted calls to rows and lists: pure. Used by `__main__`."""

from __future__ import annotations

from collections.abc import Sequence

from bench.commands import JIRA, Command
from bench.reviews import Review
from bench.table import Row

GITLAB_CALLS = 12
JIRA_CALLS = 6


def calls(reviews: Sequence[Review]) -> list[Row]:
    """One row for each number of findings: the review that made most calls."""
    rows = []
    for number in sorted({review.findings for review in reviews}):
        most = max(
            (r for r in reviews if r.findings == number), key=lambda r: sum(r.calls.values())
        )
        total, writes = sum(most.calls.values()), most.writes
        rows.append(
            Row(
                name=f"GitLab calls for a review of {number} findings",
                seen=f"{total} of {number + 10} allowed, {writes} of them writes "
                f"({number + 2} allowed)",
                asked="n + 10, n + 2 writes",
                holds=total <= number + 10 and writes <= number + 2,
                how="the simulated GitLab's request log, reviewer and publisher together, from the "
                f"webhook to the last note; git's own {most.fetches} requests are not counted",
            )
        )
    return rows


def call_lists(reviews: Sequence[Review]) -> list[tuple[str, list[str]]]:
    """The calls by kind, of the same reviews."""
    found = []
    for number in sorted({review.findings for review in reviews}):
        most = max(
            (r for r in reviews if r.findings == number), key=lambda r: sum(r.calls.values())
        )
        kinds = [f"{count} of `{call}`" for call, count in sorted(most.calls.items())]
        found.append((f"Calls for a review of {number} findings", kinds))
    return found


def command_calls(commands: Sequence[Command]) -> list[Row]:
    """One row for each kind of command and API: the one that made most calls."""
    rows = []
    for name in dict.fromkeys(command.name for command in commands):
        some = [command for command in commands if command.name == name]
        most = max(some, key=lambda command: sum(command.gitlab.values()))
        of_jira = name == JIRA
        rows.append(
            _counted(
                f"GitLab calls for a {name}",
                [sum(command.gitlab.values()) for command in some],
                GITLAB_CALLS if of_jira else None,
                "the simulated GitLab's request log, coder and publisher together, from the event "
                f"in the log to the end that is recorded; git's own {most.fetches} requests are "
                "not counted",
            )
        )
        if of_jira:
            rows.append(_jira_calls(name, some))
    return rows


def _jira_calls(name: str, commands: Sequence[Command]) -> Row:
    most = max(command.to_comment for command in commands)
    whole = max(sum(command.jira.values()) for command in commands)
    return Row(
        name=f"Jira calls for a {name}",
        seen=f"{most} of {JIRA_CALLS} allowed to the comment, {whole} with the move to in-review",
        asked=f"at most {JIRA_CALLS}",
        holds=most <= JIRA_CALLS,
        how="the simulated Jira's, the same way, to the finished comment; the poller's searches "
        "are not counted, and `GET /myself` is asked once in the life of a process",
    )


def _counted(name: str, counts: Sequence[int], allowed: int | None, how: str) -> Row:
    most = max(counts)
    return Row(
        name=name,
        seen=f"{most}" if allowed is None else f"{most} of {allowed} allowed",
        asked="" if allowed is None else f"at most {allowed}",
        holds=None if allowed is None else most <= allowed,
        how=how,
    )


def command_lists(commands: Sequence[Command]) -> list[tuple[str, list[str]]]:
    """The calls by kind, of the last of each kind."""
    last = {command.name: command for command in commands}
    lists = []
    for name, command in last.items():
        lines = [f"{n} of `{call}`" for call, n in sorted(command.gitlab.items())]
        lines += [f"{n} of `{call}` (Jira)" for call, n in sorted(command.jira.items())]
        lists.append((f"Calls for a {name}", lines))
    return lists
