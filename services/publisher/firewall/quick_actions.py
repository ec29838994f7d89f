r"""Lines that GitLab would run or unfold: quick actions, includes, block quotes (SR-24).

Called for every line of prose and for code whose fence old GitLab versions do not understand.

Why a backslash: `\/close` shows as `/close`, GitLab's pattern wants the slash first in the line,
and nothing invisible is added. Known names are not listed: any `/word` counts, so that a quick
action of a newer GitLab is covered too.

Why code in a fence of three backticks may keep its `/word`: GitLab skips text between a line that
begins with three backticks and the next line that is exactly three. `blocks` writes every fence
in that shape, never indented, always with a language (an empty fence would otherwise swallow the
start of the next one), and only uses more backticks when the code itself holds three. That longer
form is not known to older versions, so there the slash is escaped as well.
"""

from __future__ import annotations

import re

_COMMAND = re.compile(r"(?:[^\w/`\\]|_|\d+[.)])*(?=/\w)")
_COMMAND_IN_CODE = re.compile(r"(?:[\s>]|[-*+]\s|\d{1,9}[.)]\s)*(?=/\w)")
_INCLUDE = re.compile(r"[\s>]*(?=::include)", re.IGNORECASE)
_QUOTE_BLOCK = re.compile(r"[ \t]*(?=>[> \t]*$)")
_FRONT_MATTER = re.compile(r"(?:---|\+\+\+|;;;)[ \t]*\w*[ \t]*")


def starts_command(line: str) -> bool:
    """After spaces, quote and list markers and the like comes `/word`."""
    return _COMMAND.match(line) is not None


def starts_command_in_code(line: str) -> bool:
    return _COMMAND_IN_CODE.match(line) is not None


def defuse(line: str) -> str:
    """The same line for a reader, no command for GitLab."""
    for pattern in (_COMMAND, _INCLUDE):
        if match := pattern.match(line):
            return line[: match.end()] + "\\" + line[match.end() :]
    if ">>>" in line and (match := _QUOTE_BLOCK.match(line)):
        return line[: match.end()] + "\\" + line[match.end() :]
    return line


def defuse_in_code(line: str) -> str:
    match = _COMMAND_IN_CODE.match(line)
    return line if match is None else line[: match.end()] + "\\" + line[match.end() :]


def defuse_top(text: str) -> str:
    """The top of a text must not open front matter, which would hide what follows.

    GitLab also looks at the second line, when the first one may name an encoding.
    """
    lines = text.split("\n")
    shown = [i for i, line in enumerate(lines) if line.strip()][:2]
    for i in shown:
        if _FRONT_MATTER.fullmatch(lines[i]):
            lines[i] = "\\" + lines[i]
    return "\n".join(lines)
