"""Which documents are generated, by path from the repository's root. Called by `__main__`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from documents import asyncapi, charts, configuration, dashboard, events, metrics, permissions


def made() -> dict[str, str]:
    """All of them, as the code has them now."""
    return {
        "charts/nats/files/permissions.json": permissions.page(),
        "docs/asyncapi.yaml": asyncapi.page(),
        "docs/configuration.md": configuration.page(),
        "docs/events.md": events.page(),
        "docs/metrics.md": metrics.page(),
        "charts/stack/files/dashboard.json": dashboard.page(),
        **charts.made(),
    }


def stale(root: Path, pages: Mapping[str, str]) -> list[str]:
    """The paths whose file is missing or says something else."""
    return [path for path, text in pages.items() if _now(root / path) != text]


def write(root: Path, pages: Mapping[str, str]) -> None:
    for path, text in pages.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def _now(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None
