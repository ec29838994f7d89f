"""What the operator decided about commits and issues. Built by the wiring from the settings."""

from __future__ import annotations

from pathlib import Path

import msgspec

from libs.common.git.commit import Signature


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """One field per setting of the publisher; a folder, two statuses, what may be pushed."""

    author: Signature
    clones: Path
    """Folder in which each task's clone gets one of its own."""
    in_progress: str = "In Progress"
    in_review: str = "In Review"
    skip_pipelines: bool = True
    protected_paths: tuple[str, ...] = ()
    """Besides those that are always protected."""
    allow_protected: bool = False
    ca_bundle: str | None = None
    allow_http: bool = False
    allow_file: bool = False
    """For tests, which have their repository in a folder."""

    @property
    def push_options(self) -> tuple[str, ...]:
        return ("ci.skip",) if self.skip_pipelines else ()
