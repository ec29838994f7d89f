"""What a replay takes, shows and appends: pure. Called by `replay`."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from datetime import datetime

import msgspec

from libs.common import replaying, subjects
from libs.common.errors import AgentError
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.facts import JiraReady, MrOpened, NoteCommand
from services.ops.last_time import Last, Past, last_time, pointless
from services.ops.screen import paint, printable, told
from services.ops.window import checked_filter, moment

FACTS = (MrOpened, NoteCommand, JiraReady)
RATE = 10.0
"""Events per second where nobody says otherwise."""
SOURCE = "gca"
_DOTS = 4
"""In the subject of a fact."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    filter: str
    since: datetime
    until: datetime
    replay_id: str
    only_failed: bool = False
    rate: float = RATE


def plan(given: argparse.Namespace, now: datetime) -> Plan:
    """Checked; raises `AgentError`."""
    since = moment(given.since, now, "--since")
    until = moment(given.until, now, "--until") if given.until else now
    if until <= since:
        raise AgentError("--until is not after --since")
    if not given.rate > 0:
        raise AgentError("--rate: must be more than 0 events per second")
    replay_id = given.id or f"{now:%m%d_%H%M%S}"
    if not replaying.REPLAY_ID.fullmatch(replay_id):
        raise AgentError("--id: letters, digits and _ only, at most 24; it is part of task ids")
    return Plan(
        filter=fact_filter(given.filter),
        since=since,
        until=until,
        replay_id=replay_id,
        only_failed=given.only_failed,
        rate=given.rate,
    )


def fact_filter(text: str) -> str:
    """A filter that can match facts; raises `AgentError` with the way there is instead."""
    noun = checked_filter(text).partition(".")[0]
    if noun == "task":
        raise AgentError(
            "tasks are not replayed: their requests and ends are created once. Replay the fact "
            "that led to them, such as 'mr.opened.42.>', or put a dead letter back with "
            "`gca dead-letters retry`"
        )
    if noun == "retry":
        raise AgentError("retries are not replayed; `gca dead-letters` lists what can be retried")
    if text.startswith("mr.closed"):
        raise AgentError("closing is not replayed: nothing is done for it; try 'mr.opened.42.>'")
    if text.count(".") < _DOTS and not text.endswith(">"):
        raise AgentError(f"{text!r} matches nothing: subjects have five parts; try '{text}.>'")
    if noun not in {"mr", "note", "jira", "*", ">"}:
        raise AgentError(
            f"{text[:60]!r} matches nothing; facts are mr.opened, note.command and jira.ready"
        )
    return text


def is_fact(record: Recorded) -> bool:
    """Whether it can be replayed; what was put back for one consumer is no part of history."""
    return isinstance(record.event, FACTS) and not record.subject.startswith("retry.")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A fact, what came of it, and why it is left out (empty: it is replayed)."""

    fact: Recorded
    last: Last
    left_out: str = ""


def case(fact: Recorded, past: Past, asked: Plan, now: datetime) -> Case:
    """Pure."""
    last = last_time(fact, past)
    why = pointless(fact, past, now)
    if not why and asked.only_failed and not last.is_failure:
        why = "it did not fail"
    return Case(fact=fact, last=last, left_out=why)


def repeated(fact: Recorded, replay_id: str, now: datetime) -> NewEvent:
    """The event that repeats a fact; a replay of a replay names the first one."""
    of = fact.replay_of or fact.message_id or f"seq-{fact.seq}"
    return NewEvent(
        subject=fact.subject,
        event=fact.event,
        message_id=replaying.message_id(replay_id, of),
        source=SOURCE,
        time=now,
        causation_id=fact.message_id,
        replay_of=of,
    )


def lines(cases: Sequence[Case], *, width: int | None, colored: bool) -> list[str]:
    """Per merge request or issue: the fact, what happened last time, and what is done now."""
    found: list[str] = []
    for one in sorted(cases, key=lambda c: (subjects.scope_and_ref(c.fact.subject), c.fact.seq)):
        when = f"{one.fact.time.astimezone():%m-%d %H:%M:%S}"
        text = f"{when}  {told(one.fact)[1]}; last time: {one.last.word}, {one.last.text}"
        verdict = f"left out: {one.left_out}" if one.left_out else "replay"
        color = "grey" if one.left_out else "green"
        body = printable(text)
        wrapped = textwrap.wrap(body, max(width, 40), subsequent_indent="    ") if width else [body]
        found += [*wrapped, "    " + paint(verdict, color, colored=colored)]
    return found
