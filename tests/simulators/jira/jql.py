"""The part of JQL that pollers write: clauses joined by AND, and ORDER BY.

Used by `search`. Anything else is refused as a syntax error, so that a test notices.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .errors import ApiError, bad_request, unbounded

if TYPE_CHECKING:
    from .state import Issue, World

_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(!=|>=|<=|=|>|<|\(|\)|,)|([^\s()=<>!,"]+))')
_RELATIVE = re.compile(r"-(\d+)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FIELDS = {"project", "status", "key", "issuekey", "created", "updated"}
Token = tuple[str, str]


@dataclass
class Clause:
    """One restriction: a field, an operator, and its values."""

    field: str
    operator: str
    values: list[str]


@dataclass
class Query:
    """A parsed search."""

    clauses: list[Clause]
    order: list[tuple[str, bool]]


def parse(text: str) -> Query:
    tokens = _tokens(text)
    clauses: list[Clause] = []
    while tokens and not _word(tokens[0], "ORDER"):
        if clauses:
            _expect(tokens, "AND")
        clauses.append(_clause(tokens))
    return Query(clauses, _order(tokens))


def check(query: Query, world: World) -> None:
    """Refuse what Jira refuses: no restriction (J3), and values that do not exist."""
    if not query.clauses:
        raise unbounded()
    known = {
        "project": {key for key, project in world.projects.items() if not project.hidden},
        "status": {s.name.upper() for p in world.projects.values() for s in p.workflow.statuses},
    }
    for clause in query.clauses:
        for value in clause.values:
            if value.upper() not in known.get(clause.field, {value.upper()}):
                text = f"The value '{value}' does not exist for the field '{clause.field}'."
                raise bad_request(text)


def matching(query: Query, world: World, at: datetime) -> list[Issue]:
    """The issues as they were at that time."""
    found = [
        issue
        for issue in world.issues.values()
        if not issue.project.hidden and all(_holds(c, issue, world, at) for c in query.clauses)
    ]
    for field, descending in reversed(query.order):
        found.sort(key=functools.partial(_sort_key, field), reverse=descending)
    return found


def _holds(clause: Clause, issue: Issue, world: World, at: datetime) -> bool:
    status = issue.status_at(at)
    if status is None:
        return False
    if clause.field in {"created", "updated"}:
        moment = issue.created if clause.field == "created" else issue.updated
        limit = _moment(clause.values[0], world.now())
        return moment >= limit if clause.operator in {">", ">="} else moment <= limit
    actual = {
        "project": issue.project.key,
        "status": status.name,
        "key": issue.key,
        "issuekey": issue.key,
    }
    return actual[clause.field].upper() in {value.upper() for value in clause.values}


def _moment(value: str, now: datetime) -> datetime:
    relative = _RELATIVE.fullmatch(value)
    if relative:
        return now - timedelta(**{_UNITS[relative[2]]: int(relative[1])})
    try:
        return datetime.strptime(value, "%Y-%m-%d %H:%M").replace(tzinfo=now.tzinfo)
    except ValueError:
        raise bad_request(f"Date value '{value}' for field is invalid.") from None


def _sort_key(field: str, issue: Issue) -> tuple[datetime | str, int]:
    value = {"created": issue.created, "updated": issue.updated}.get(field, issue.project.key)
    return value, int(issue.key.rpartition("-")[2])


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position, text = 0, text.strip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found:
            raise _syntax(text[position:])
        if found[1] is not None:
            tokens.append(("string", re.sub(r"\\(.)", r"\1", found[1])))
        else:
            tokens.append(("sign", found[2]) if found[2] else ("word", found[3]))
        position = found.end()
    return tokens


def _clause(tokens: list[Token]) -> Clause:
    if len(tokens) < 3:
        raise _syntax("the end")
    (_, field), (_, operator) = tokens.pop(0), tokens.pop(0)
    if field.lower() not in _FIELDS:
        raise bad_request(
            f"Field '{field}' does not exist or you do not have permission to view it."
        )
    if operator.upper() == "IN":
        return Clause(field.lower(), "in", _list(tokens))
    if operator not in {"=", ">=", "<=", ">", "<"} or tokens[0][0] == "sign":
        raise _syntax(operator)
    return Clause(field.lower(), operator, [tokens.pop(0)[1]])


def _list(tokens: list[Token]) -> list[str]:
    _expect(tokens, "(")
    values: list[str] = []
    while tokens:
        values.append(tokens.pop(0)[1])
        if tokens and tokens[0] == ("sign", ","):
            tokens.pop(0)
            continue
        _expect(tokens, ")")
        return values
    raise _syntax("the end")


def _order(tokens: list[Token]) -> list[tuple[str, bool]]:
    if not tokens:
        return []
    _expect(tokens, "ORDER")
    _expect(tokens, "BY")
    order: list[tuple[str, bool]] = []
    while tokens:
        field, descending = tokens.pop(0)[1].lower(), False
        if field not in _FIELDS:
            raise bad_request(
                f"Field '{field}' does not exist or you do not have permission to view it."
            )
        if tokens and tokens[0][1].upper() in {"ASC", "DESC"}:
            descending = tokens.pop(0)[1].upper() == "DESC"
        order.append((field, descending))
        if tokens:
            _expect(tokens, ",")
    return order


def _expect(tokens: list[Token], wanted: str) -> None:
    if not tokens or not _word(tokens[0], wanted):
        raise _syntax(tokens[0][1] if tokens else "the end")
    tokens.pop(0)


def _word(token: Token, wanted: str) -> bool:
    return token[0] != "string" and token[1].upper() == wanted


def _syntax(where: str) -> ApiError:
    return bad_request(f"Error in the JQL Query: unexpected '{where[:40]}'.")
