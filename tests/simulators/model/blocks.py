"""Defects that need more than one line of a hunk to be seen; part of the rules' table. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.simulators.model.diff import DiffLine, Hunk
from tests.simulators.model.findings import Finding, Fix

BlockRule = Callable[[str, Hunk], Iterator[Finding]]

_MUTABLE = re.compile(
    r"^(?P<indent>\s*)(?:async )?def \w+\(.*?(?P<arg>\w+)(?::\s*(?P<type>[^=,]+?))?"
    r"\s*=\s*(?P<empty>\[\]|\{\}|list\(\)|dict\(\)|set\(\))(?P<after>.*):\s*$"
)
_GUARD = re.compile(
    r"^\s*if\b.*(?:customer|user|owner|permission|allowed|is_staff|is_admin|can_\w+|role)\b.*:\s*$"
)
_OPENED = re.compile(r"^(?P<indent>\s*)(?P<name>\w+) = open\((?P<args>[^()]*)\)\s*$")
_READ_AT_ONCE = re.compile(
    r"^(?P<indent>\s*)(?P<name>\w+) = open\((?P<args>[^()]*)\)"
    r"\.(?P<call>read\(\)|readlines\(\))\s*$"
)
_CALL = re.compile(r"\brequests\.(?:get|post|put|patch|delete|head)\(\s*$")


def _new_side(hunk: Hunk) -> list[DiffLine]:
    return [line for line in hunk if line.new is not None]


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def swallowed_exception(path: str, hunk: Hunk) -> Iterator[Finding]:
    """`except:` whose whole body is `pass`: two lines, one suggestion over both."""
    lines = _new_side(hunk)
    for line, after in pairwise(lines):
        bare = re.fullmatch(r"\s*except(?: Exception| BaseException)?:\s*", line.text)
        if not (path.endswith(".py") and bare and after.text.strip() == "pass"):
            continue
        if "+" not in (line.sign, after.sign) or line.new is None:
            continue
        indent = _indent(line.text)
        yield Finding(
            file=path,
            side="new",
            line=line.new,
            end_line=line.new + 1,
            severity="warning",
            comment="This swallows every failure without a trace, even a typing error in the "
            "block above (a bare `except:` also takes `KeyboardInterrupt` and "
            "cancellation). Catch what can happen here, and leave a line in the log.",
            fix=Fix(
                text=f"{indent}except Exception:\n"
                f'{_indent(after.text)}logging.getLogger(__name__).exception("Going on after a '
                'failure")',
                start=line.new,
                end=line.new + 1,
            ),
        )


def mutable_default(path: str, hunk: Hunk) -> Iterator[Finding]:
    """`def f(items=[])`: the suggestion also takes a one-line docstring, which must stay first."""
    lines = _new_side(hunk)
    for at, line in enumerate(lines):
        match = _MUTABLE.match(line.text) if line.sign == "+" and path.endswith(".py") else None
        if not match or line.new is None:
            continue
        argument, empty = match["arg"], match["empty"]
        typed = f": {match['type']} | None = None" if match["type"] else "=None"
        start, end = match.start("arg"), match.end("empty")
        text = [f"{line.text[:start]}{argument}{typed}{line.text[end:]}"]
        following = lines[at + 1].text if at + 1 < len(lines) else ""
        if re.fullmatch(r'\s*"""[^"]*"""\s*', following):
            text.append(following)
        text.append(
            f"{match['indent']}    {argument} = {empty} if {argument} is None else {argument}"
        )
        yield Finding(
            file=path,
            side="new",
            line=line.new,
            severity="warning",
            comment=f"The default of `{argument}` is made once, when the function is defined, and "
            "then shared by all calls: what one caller adds, the next one finds.",
            fix=Fix(text="\n".join(text), start=line.new, end=line.new + len(text) - 2),
        )


def call_without_timeout(path: str, hunk: Hunk) -> Iterator[Finding]:
    """A `requests` call over several lines; the suggestion adds the argument before the bracket."""
    lines = _new_side(hunk)
    for at, line in enumerate(lines):
        if line.sign != "+" or line.new is None or not path.endswith(".py"):
            continue
        end = _closing(lines, at) if _CALL.search(line.text) else None
        if end is None or any("timeout" in one.text for one in lines[at : end + 1]):
            continue
        body = [one.text for one in lines[at:end]]
        if not body[-1].rstrip().endswith((",", "(")):
            body[-1] = body[-1].rstrip() + ","
        inner = _indent(body[-1]) if end > at + 1 else _indent(line.text) + "    "
        yield Finding(
            file=path,
            side="new",
            line=line.new,
            end_line=line.new + end - at,
            severity="warning",
            comment="This call has no time-out, and `requests` then waits for ever. A peer that "
            "hangs would hold this caller (and its database connection) with it.",
            fix=Fix(
                text="\n".join([*body, f"{inner}timeout=10,", lines[end].text]),
                start=line.new,
                end=line.new + end - at,
            ),
        )


def _closing(lines: list[DiffLine], at: int) -> int | None:
    depth = 0
    for index in range(at, len(lines)):
        depth += lines[index].text.count("(") - lines[index].text.count(")")
        if depth <= 0:
            return index
    return None


def unclosed_file(path: str, hunk: Hunk) -> Iterator[Finding]:
    for line in hunk:
        if line.sign != "+" or line.new is None or not path.endswith(".py"):
            continue
        match = _READ_AT_ONCE.match(line.text)
        opened = match or _OPENED.match(line.text)
        if not opened:
            continue
        fix = None
        if match:
            indent, name = match["indent"], match["name"]
            text = f"{indent}with open({match['args']}) as file:\n"
            text += f"{indent}    {name} = file.{match['call']}"
            fix = Fix(text=text, start=line.new, end=line.new)
        yield Finding(
            file=path,
            side="new",
            line=line.new,
            severity="warning",
            comment="The file is opened but closed by nobody: when something below raises, it "
            "stays open and what was written may not be on disk. Open it in a `with` "
            "block.",
            fix=fix,
        )


def removed_guard(path: str, hunk: Hunk) -> Iterator[Finding]:
    """A check of who may do this that is taken away: named on the old side, where it was."""
    added = {line.text.strip() for line in hunk if line.sign == "+"}
    for line, after in pairwise(hunk):
        if (line.sign, after.sign) != ("-", "-") or line.old is None:
            continue
        ends = after.text.strip().startswith(("raise ", "return", "abort("))
        if not (_GUARD.match(line.text) and ends) or line.text.strip() in added:
            continue
        yield Finding(
            file=path,
            side="old",
            line=line.old,
            end_line=after.old,
            severity="error",
            comment="This check is removed and nothing takes its place in the change, so whoever "
            "knows an id gets past here. If it moved, please say where; otherwise it "
            "should stay.",
        )


BLOCK_RULES: tuple[BlockRule, ...] = (
    swallowed_exception,
    mutable_default,
    call_without_timeout,
    unclosed_file,
    removed_guard,
)
