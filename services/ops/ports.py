"""Which ports a `gca up` gives to what it starts, beside others that start at the same moment.

Called by `up`, `addresses` and `simulated`.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from libs.common.errors import SettingsError
from services.ops.bootstrap import CACHE

_TRIES = 100


class Ports:
    """Ports that are ours, also before somebody listens there, until `close` or our end.

    Each port is a byte of `file`, and taken while another process of this user has it locked.
    """

    def __init__(self, file: Path = CACHE / "ports.lock") -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        self._taken: set[int] = set()

    def take(self, preferred: int) -> int:
        """`preferred` when it is free on loopback, else any free port."""
        for wanted in (preferred, *[0] * _TRIES):
            port = free_port(wanted)
            if port not in self._taken and self._locked(port):
                self._taken.add(port)
                return port
        raise OSError("no free port on loopback")

    def close(self) -> None:
        os.close(self._file)

    def _locked(self, port: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except (BlockingIOError, PermissionError):
            return False
        return True


def preferred_port(settings: Mapping[str, str], name: str, default: int) -> int:
    """The port that a setting asks for; raises `SettingsError` when it is no port."""
    text = settings.get(name) or str(default)
    if not text.isdecimal() or int(text) > 65535:
        raise SettingsError([f"{name}: must be a number from 0 to 65535"])
    return int(text)


def free_port(preferred: int) -> int:
    """`preferred` when it is free on loopback, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            # As servers bind: connections of one that just stopped do not keep the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on loopback")
