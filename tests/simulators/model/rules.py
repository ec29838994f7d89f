"""What the scripted reviewer knows about code: a table of defects seen in one added line.

Called by the script with the parsed diff. Pure. Defects that need several lines are in blocks.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.simulators.model.blocks import BLOCK_RULES
from tests.simulators.model.diff import DiffLine, FileChange
from tests.simulators.model.findings import Finding, Fix, Severity

PYTHON = (".py",)
SCRIPT = (".js", ".jsx", ".ts", ".tsx", ".mjs")
_MONEY = r"\w*(?:price|amount|total|cost|discount|subtotal)\w*"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRule:
    """A defect that one added line shows; `mend` gives the whole new line, or None."""

    kinds: tuple[str, ...]
    pattern: re.Pattern[str]
    severity: Severity
    comment: str
    mend: Callable[[re.Match[str], str], str | None] | None = None


def _bind_sql(_: re.Match[str], text: str) -> str | None:
    """Make `execute(f"… '{name}'")` a statement with a parameter; None when it is not so plain."""
    plain = re.fullmatch(r"(.*\.execute(?:many)?\()f(\"|')((?:(?!\2).)*)\2\)(.*)", text)
    if not plain:
        return None
    head, quote, sql, tail = plain.groups()
    names = re.findall(r"\{([\w.]+)\}", sql)
    if not names or len(names) != sql.count("{"):
        return None
    bound = re.sub(r"'\{[\w.]+\}'|\{[\w.]+\}", "?", sql)
    values = f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"
    return f"{head}{quote}{bound}{quote}, {values}){tail}"


def _with_timeout(_: re.Match[str], text: str) -> str | None:
    body = text.rstrip()
    return f"{body[:-1]}, timeout=10)" if body.endswith(")") else None


def _from_environment(match: re.Match[str], _: str) -> str:
    return f'{match["head"]}os.environ["{match["name"].upper()}"]{match["tail"]}'


def _replaced(old: str, new: str) -> Callable[[re.Match[str], str], str]:
    return lambda _, text: re.sub(old, new, text)


LINE_RULES: tuple[LineRule, ...] = (
    LineRule(
        kinds=PYTHON,
        pattern=re.compile(
            r"""\bf["'].*\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM)\b.*\{"""
            r"""|["'].*\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM)\b"""
            r""".*(?:["']\s*%\s|["']\.format\(|["']\s*\+)"""
        ),
        severity="error",
        comment="This builds the SQL statement out of text, so whoever chooses the value can "
        "change the statement (SQL injection). Pass the value as a bound parameter and "
        "let the driver quote it.",
        mend=_bind_sql,
    ),
    LineRule(
        kinds=PYTHON + SCRIPT,
        pattern=re.compile(r"(?<![\w.])(?:eval|exec)\("),
        severity="error",
        comment="`eval`/`exec` runs whatever text arrives here as code. If the input is data, "
        "parse it as data (`ast.literal_eval`, `json`); if it is a choice, look it up in "
        "a dictionary.",
    ),
    LineRule(
        kinds=PYTHON,
        pattern=re.compile(r"[=!]= None\b"),
        severity="info",
        comment="Compare with `None` by identity: `==` can be redefined by the other operand.",
        mend=lambda _, text: text.replace("== None", "is None").replace("!= None", "is not None"),
    ),
    LineRule(
        kinds=PYTHON,
        pattern=re.compile(
            r"""^(?P<head>\s*(?P<name>\w*(?:password|passwd|secret|api_key|token))(?::\s*\w+)?\s*=\s*)"""
            r"""["'][^"'{}\s]{6,}["'](?P<tail>.*)$""",
            re.IGNORECASE,
        ),
        severity="error",
        comment="A credential is written into the source. It is now in the history for everybody "
        "who can read the repository: replace it at its issuer, and read the new one "
        "from the environment.",
        mend=_from_environment,
    ),
    LineRule(
        kinds=PYTHON,
        pattern=re.compile(r"\bsubprocess\.\w+\(.*shell\s*=\s*True"),
        severity="error",
        comment="With `shell=True` a space, a quote or a `;` in an argument becomes part of the "
        "command. Give the command as a list of arguments and leave the shell out.",
    ),
    LineRule(
        kinds=PYTHON,
        pattern=re.compile(
            r"\brequests\.(?:get|post|put|patch|delete|head)\((?!.*timeout\s*=).*\)\s*$"
        ),
        severity="warning",
        comment="`requests` waits for ever by default: when the other side hangs, so does this "
        "caller. Set a time-out and decide what happens after it.",
        mend=_with_timeout,
    ),
    LineRule(
        kinds=PYTHON,
        pattern=re.compile(r"verify\s*=\s*False"),
        severity="error",
        comment="This turns off the check of the server's certificate. For a private authority "
        "give its bundle as `verify=` instead.",
    ),
    LineRule(
        kinds=PYTHON,
        pattern=re.compile(rf"(?<!\w)float\(\s*(?:self\.)?{_MONEY}", re.IGNORECASE),
        severity="warning",
        comment="Money as a binary float: 0.1 + 0.2 is not 0.3, so sums drift by cents. Keep "
        "amounts in whole cents or as `Decimal`.",
        mend=_replaced(r"(?<!\w)float\(", "Decimal("),
    ),
    LineRule(
        kinds=PYTHON,
        pattern=re.compile(
            rf"\b{_MONEY}(?:\(\))?\s*\*\s*\(?\s*(?:1\s*-\s*)?\d*\.\d+", re.IGNORECASE
        ),
        severity="warning",
        comment="An amount of money multiplied by a binary float: the result is off by a fraction "
        "of a "
        'cent, and rounding then goes the wrong way now and then. Use `Decimal("…")` and say how '
        "to round.",
        mend=_replaced(r"(?<![\w.\"])(\d*\.\d+)(?![\w\"])", r'Decimal("\1")'),
    ),
    LineRule(
        kinds=PYTHON,
        pattern=re.compile(r"\brange\(len\((?P<of>[\w.]+)\)\s*\+\s*1\)"),
        severity="error",
        comment="Off by one: the last index is `len(...) - 1`, so the last round raises "
        "`IndexError`.",
        mend=_replaced(r"(range\(len\([\w.]+\))\s*\+\s*1\)", r"\1)"),
    ),
    LineRule(
        kinds=SCRIPT,
        pattern=re.compile(r"\bfor\s*\(.*<=\s*[\w.]+\.length"),
        severity="error",
        comment="Off by one: the last index is `length - 1`, so the last round reads `undefined`.",
        mend=_replaced(r"<=(\s*[\w.]+\.length)", r"<\1"),
    ),
    LineRule(
        kinds=SCRIPT,
        pattern=re.compile(r"\.innerHTML\s*\+?=(?!=)"),
        severity="error",
        comment="Text put into `innerHTML` is read as markup, so a value with a tag in it runs "
        "script in the reader's session. Use `textContent`, or build the nodes.",
    ),
)


def review(files: Iterable[FileChange]) -> tuple[Finding, ...]:
    """Give the findings in the order of the diff; the same line is named once per rule."""
    return tuple(finding for file in files for finding in _review_file(file))


def _review_file(file: FileChange) -> list[Finding]:
    found = [
        finding
        for hunk in file.hunks
        for line in hunk
        if line.sign == "+"
        for finding in _review_line(file, line)
    ]
    for hunk in file.hunks:
        for rule in BLOCK_RULES:
            found.extend(rule(file.path, hunk))
    return sorted(found, key=lambda finding: (finding.line, finding.comment))


def _review_line(file: FileChange, line: DiffLine) -> Iterable[Finding]:
    text = line.text.rstrip("\r")
    if text.lstrip().startswith(("#", "//")) or line.new is None:
        return
    for rule in LINE_RULES:
        match = rule.pattern.search(text) if file.path.endswith(rule.kinds) else None
        if not match:
            continue
        mended = rule.mend(match, text) if rule.mend else None
        fix = Fix(text=mended, start=line.new, end=line.new) if mended else None
        yield Finding(
            file=file.path,
            side="new",
            line=line.new,
            severity=rule.severity,
            comment=rule.comment,
            fix=fix,
        )
