"""What `gca` reads besides the services' own settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from libs.common.errors import AgentError
from services.ops.places import announced, default_root


def operators_settings(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment over `.env` in the project's folder, or over the file GCA_DOTENV names."""
    path = environ.get("GCA_DOTENV") or root / ".env"
    file = {name: value for name, value in dotenv_values(path).items() if value}
    return file | {name: value for name, value in environ.items() if value}


def nats_url() -> str:
    """`NATS_URL`, else that of the `gca up` that runs here; raises `AgentError` without either."""
    given = os.environ.get("NATS_URL")
    if given:
        return given
    found = announced(default_root())
    if found is None:
        raise AgentError("no `gca up` runs here and NATS_URL is not set: which log is meant?")
    return found.nats_url
