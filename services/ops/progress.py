"""A bar for work whose length is known. Used by `replay`."""

from __future__ import annotations

from typing import TextIO

_ROOM = 30


class Progress:
    """One line that is drawn again and again on a terminal; silent anywhere else."""

    def __init__(self, err: TextIO, total: int) -> None:
        self._err = err
        self._total = total
        self._shown = err.isatty()

    def show(self, done: int) -> None:
        if self._shown:
            self._err.write(f"\r{bar(done, self._total)}")
            self._err.flush()

    def end(self) -> None:
        if self._shown:
            self._err.write("\n")
            self._err.flush()


def bar(done: int, total: int) -> str:
    full = round(_ROOM * done / total) if total else _ROOM
    return f"[{'#' * full}{'.' * (_ROOM - full)}] {done}/{total}"
