"""Where `gca up` keeps its state, and what a running one tells other commands. Folder `.gca/`."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """What another `gca` command needs to know of a running `gca up`; the file is private."""

    pid: int
    nats_url: str
    webhook_url: str
    webhook_secret: str = ""
    settings: dict[str, str] = {}
    """Settings of the simulated GitLab and model; of a real one they are the operator's own."""
    health: dict[str, str] = {}
    """Address of each service's health port."""


class Places:
    """The folders of one `gca up`; a simulated run has its own and starts empty."""

    def __init__(self, root: Path, *, simulated: bool) -> None:
        self.root = root
        self.simulated = simulated
        self.state = state_of(root, simulated=simulated)
        if simulated:
            shutil.rmtree(self.state, ignore_errors=True)
        for folder in (self.nats, self.logs, self.tasks, self.clones, self.simulator):
            folder.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)

    @property
    def nats(self) -> Path:
        return self.state / "nats"

    @property
    def logs(self) -> Path:
        return logs_of(self.root, simulated=self.simulated)

    @property
    def tasks(self) -> Path:
        return self.state / "tasks"

    @property
    def clones(self) -> Path:
        return self.state / "clones"

    @property
    def simulator(self) -> Path:
        return self.state / "gitlab"

    def secret(self, name: str) -> str:
        """A random secret, made once and kept in a file only its owner can read."""
        file = self.state / f"{name}.secret"
        if not file.exists():
            write_private(file, secrets.token_urlsafe(32))
        return file.read_text(encoding="utf-8").strip()


def state_of(root: Path, *, simulated: bool) -> Path:
    """Where a `gca up` keeps everything; nothing is made."""
    return root / ("simulated" if simulated else "state")


def logs_of(root: Path, *, simulated: bool) -> Path:
    """Where its services write what they log."""
    return state_of(root, simulated=simulated) / "logs"


def default_root() -> Path:
    return Path(os.environ.get("GCA_STATE_DIR") or ROOT / ".gca")


def announce(root: Path, addresses: Addresses) -> None:
    write_private(root / "running.json", msgspec.json.encode(addresses).decode())


def announced(root: Path) -> Addresses | None:
    """Addresses of a `gca up` that still runs here, or None."""
    try:
        found = msgspec.json.decode((root / "running.json").read_bytes(), type=Addresses)
        os.kill(found.pid, 0)
    except (OSError, msgspec.MsgspecError):
        return None
    return found


def withdraw(root: Path) -> None:
    (root / "running.json").unlink(missing_ok=True)


def write_private(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
