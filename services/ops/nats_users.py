"""`gca nats-users`: keys for the users of NATS, as values for Helm and Secrets for Kubernetes.

NATS knows the public keys alone; a service proves by its seed who it is (SR-17). Each seed is in
one file on this machine, which only its owner may read, and in the Secret of one service.
"""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from libs.common.errors import AgentError
from libs.common.jetstream import permissions
from libs.common.jetstream.credentials import Keys, new_user
from services.ops.terminal import Terminal

STACK, ALONE, SECRETS = "users.yaml", "users-nats.yaml", "secrets.yaml"
SEED, ROUTES = "nats.nk", "password"
_PART_OF = ("app.kubernetes.io/part-of", "gitlab-copilot-agent")
_OWNER_ONLY = 0o600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("nats-users"), metavar="DIR", help="folder for the files"
    )
    parser.add_argument("--prefix", default="gca", help="global.prefix of the charts")


def run(out: Path, prefix: str, terminal: Terminal) -> int:
    """Write the three files and say what to do with them; none of them may be there yet."""
    users = {name: new_user() for name in permissions.NAMES}
    _write(out, files(users, prefix, secrets.token_hex(24)))
    for line in _next(out):
        terminal.write(line)
    return 0


def files(users: Mapping[str, Keys], prefix: str, password: str) -> dict[str, str]:
    """Text by file name; pure. `password` is what three NATS servers know each other by."""
    public = [f"  {name}: {keys.public}" for name, keys in users.items()]
    of_users = {f"{prefix}-nats-{name}": (SEED, keys.seed) for name, keys in users.items()}
    kept = of_users | {f"{prefix}-nats-routes": (ROUTES, password)}
    return {
        STACK: _text(
            "# Users of NATS by their public keys: values of charts/stack.",
            "nats:",
            *(f"  {line}" for line in ("users:", *public)),
        ),
        ALONE: _text(
            "# Users of NATS by their public keys: values of charts/nats as a release of its own.",
            "users:",
            *public,
        ),
        SECRETS: "---\n".join(_secret(name, *value) for name, value in kept.items()),
    }


def _secret(name: str, key: str, value: str) -> str:
    return _text(
        "apiVersion: v1",
        "kind: Secret",
        "metadata:",
        f"  name: {name}",
        f"  labels: {{{': '.join(_PART_OF)}}}",
        "type: Opaque",
        "stringData:",
        f'  {key}: "{value}"',
    )


def _text(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def _write(out: Path, made: Mapping[str, str]) -> None:
    """All or none, and never over a file: its seeds may be the only copy of keys in use."""
    there = [str(out / name) for name in made if (out / name).exists()]
    if there:
        raise AgentError(
            f"{', '.join(there)}: there already, and maybe in use; name another folder by --out"
        )
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in made.items():
            opened = os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
            with os.fdopen(opened, "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise AgentError(f"cannot write {out}: {error.strerror}") from None


def _next(out: Path) -> list[str]:
    return [
        f"{out / SECRETS} holds the seeds: it goes to Kubernetes and to nobody else",
        f"{out / STACK} and {out / ALONE} hold public keys, which NATS is told",
        "",
        "next:",
        f"  kubectl apply -n NAMESPACE -f {out / SECRETS}",
        f"  helm upgrade --install gca charts/stack -n NAMESPACE -f values.yaml -f {out / STACK}",
        "or, with a release for each service:",
        f"  helm upgrade --install gca-nats charts/nats -n NAMESPACE -f {out / ALONE}",
        "",
        "with new keys for services that run, restart them after both:",
        f"  kubectl rollout restart -n NAMESPACE deployment -l {_PART_OF[0]}={_PART_OF[1]}",
    ]
