"""Where commands write: how wide it is, whether it takes colours. Used by doctor, events, stats."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True)
class Terminal:
    """`width` is None when nobody said how wide lines may be, as in a file or a pipe."""

    out: TextIO
    err: TextIO
    width: int | None
    colored: bool

    @property
    def unicode(self) -> bool:
        """Whether more than ASCII can be written."""
        return (getattr(self.out, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"

    def write(self, line: str) -> None:
        self.out.write(line + "\n")
        self.out.flush()

    def aside(self, line: str) -> None:
        """Progress and troubles: never among what a program reads."""
        self.err.write(line + "\n")
        self.err.flush()


def terminal(
    out: TextIO | None = None, err: TextIO | None = None, environ: Mapping[str, str] | None = None
) -> Terminal:
    """This process's terminal; COLUMNS and NO_COLOR count as everywhere."""
    given = os.environ if environ is None else environ
    out, err = out or sys.stdout, err or sys.stderr
    is_terminal = out.isatty()
    told = given.get("COLUMNS", "")
    width = int(told) if told.isdecimal() and int(told) > 0 else None
    if width is None and is_terminal:
        width = shutil.get_terminal_size((80, 24)).columns
    return Terminal(out, err, width, is_terminal and not given.get("NO_COLOR"))
