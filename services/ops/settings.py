"""What `gca` reads besides the services' own settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values


def operators_settings(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment over `.env` in the project's folder, or over the file GCA_DOTENV names."""
    path = environ.get("GCA_DOTENV") or root / ".env"
    file = {name: value for name, value in dotenv_values(path).items() if value}
    return file | {name: value for name, value in environ.items() if value}
