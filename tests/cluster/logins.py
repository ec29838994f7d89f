"""Logins and certificates of an installation with simulators: `python -m tests.cluster.logins DIR`.

Writes, once, into a folder for the owner only: `simulators.json` (values of the simulators' chart,
which makes the Secrets that the stack refers to), and by `gca nats-users` the users of NATS. Used
by the tests' fixtures and by the Tiltfile.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.cluster.tools import ROOT

HOST = "gca-simulators"
VALUES, NATS = "simulators.json", "nats"


def made(folder: Path) -> dict[str, Any]:
    """The values in this folder, made when they are not there yet."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / VALUES
    if not file.exists():
        values = {"logins": logins(), "tls": certificates()}
        file.touch(mode=0o600)
        file.write_text(json.dumps(values))
    if not (folder / NATS).exists():
        command = ("-m", "services.ops", "nats-users", "--out", str(folder / NATS))
        _run(sys.executable, *command)
    values = json.loads(file.read_text())
    assert isinstance(values, dict)
    return values


def logins() -> dict[str, str]:
    """Each is random, and can be told by its beginning when it shows where it must not."""
    return {
        "gitlabRead": _secret("gitlab-read-canary"),
        "gitlabWrite": _secret("gitlab-write-canary"),
        "webhook": _secret("webhook-canary"),
        "taskDoor": _secret("task-door-canary"),
        "jira": _secret("jira-canary"),
        "model": _secret("model-key-canary"),
    }


def _secret(name: str) -> str:
    return f"{name}-{secrets.token_hex(12)}"


def certificates() -> dict[str, str]:
    """An authority of its own, and the simulators' certificate signed by it, for a month."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30")
        ca = ("-keyout", folder / "ca.key", "-out", folder / "ca.crt", "-subj", "/CN=gca test CA")
        _run(*new, *ca, "-addext", "basicConstraints=critical,CA:TRUE")
        server = ("-keyout", folder / "tls.key", "-out", folder / "tls.crt", "-subj", f"/CN={HOST}")
        signed = ("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key")
        extensions = (
            *("-addext", f"subjectAltName=DNS:{HOST}"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        )
        _run(*new, *server, *signed, *extensions)
        read = {"crt": "tls.crt", "key": "tls.key", "ca": "ca.crt"}
        return {key: (folder / file).read_text() for key, file in read.items()}


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command[0]} {command[1]} failed:\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    made(Path(sys.argv[1]))
