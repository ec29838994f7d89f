"""What the runner's tests stand on: a merge request in git, and the two steps as processes.

Real are git, the Copilot CLI and `python -m services.runner`; the task door and the model are not.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from copilot._cli_version import CLI_VERSION

from libs.common.events.tasks import Limits, TaskRequested
from libs.common.git.clone import CloneOrder, clone_merge_request
from libs.common.launching.contract import Contract, to_environment
from tests.fakes.task_door import FakeTaskDoor
from tests.integration.git_door_repository import Origin
from tests.samples import refs, review_request
from tests.simulators.model import SimulatedModel

ROOT = Path(__file__).parents[2]
CLI = Path.home() / f".cache/gitlab-copilot-agent/cli/{CLI_VERSION}/copilot"
GIT_TOKEN = "glpat-canary-git-0123456789"
MODEL_KEY = "canary-model-key-0123456789"

BEFORE = b'''"""Prices."""


def total(prices):
    result = 0
    for price in prices:
        result += price
    return result
'''
AFTER = b'''"""Prices."""


def total(prices, seen=[]):
    result = 0
    for price in prices:
        try:
            result += price
        except:
            pass
    return result
'''


@dataclass(frozen=True)
class MergeRequest:
    """Commits on both branches of one merge request in a bare repository."""

    origin: Origin
    spec: TaskRequested

    def told(self, **changes: Any) -> MergeRequest:
        return replace(self, spec=msgspec.structs.replace(self.spec, **changes))


def merge_request(
    folder: Path,
    *,
    base: Mapping[str, bytes | None] | None = None,
    head: Mapping[str, bytes | None] | None = None,
    target: Mapping[str, bytes | None] | None = None,
) -> MergeRequest:
    """A merge request of `head` on `base`; `target` is committed to the target branch later."""
    origin = Origin(folder / "origin" / "shop.git")
    base_sha = origin.commit("refs/heads/main", base or {"shop/prices.py": BEFORE})
    head_sha = origin.commit(
        "refs/heads/feature", head or {"shop/prices.py": AFTER}, parent=base_sha
    )
    if target:
        origin.commit("refs/heads/main", target, parent=base_sha)
    origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
    spec = review_request(
        head_sha,
        clone_url=f"file://{origin.path}",
        diff_refs=refs(head_sha, base_sha),
        title="Sum prices",
        description="Adds a guard.",
        author="ada",
        commit_messages=("Guard the sum",),
        limits=Limits(timeout=60),
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    return MergeRequest(origin, spec)


@dataclass
class Ended:
    """A step that has ended: its exit code and log lines."""

    code: int
    stderr: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("event") == event]


@dataclass(frozen=True)
class World:
    """One task's work folder, and its two steps as a launcher would start them."""

    work: Path
    merge_request: MergeRequest
    door: FakeTaskDoor

    @property
    def contract(self) -> Contract:
        spec = self.merge_request.spec
        return Contract(
            task_url=self.door.url,
            task_token=self.door.token,
            work_dir=self.work,
            timeout=spec.limits.timeout,
        )

    async def cloned(self) -> World:
        """The clone as the first step leaves it, without the process."""
        spec = self.merge_request.spec
        order = CloneOrder(
            folder=self.contract.repository,
            clone_url=spec.clone_url,
            head_sha=spec.head_sha,
            base_sha=spec.diff_refs.base_sha,
            target_branch=spec.target_branch,
            allow_file=True,
        )
        await clone_merge_request(order, token="")
        return self

    def environment(self, **more: str) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {
            **inherited,
            "XDG_CACHE_HOME": str(Path.home() / ".cache"),
            **to_environment(self.contract),
            **more,
        }

    async def start(self, step: str, **more: str) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.runner",
            step,
            cwd=ROOT,
            env=self.environment(**more),
            stderr=PIPE,
            stdout=PIPE,
        )

    async def run(self, model: SimulatedModel, *, name: str = "sim-reviewer", **more: str) -> Ended:
        """The step `run` to its end."""
        return await ended(await self.start("run", **(provider(model, name) | more)))


def provider(model: SimulatedModel, name: str = "sim-reviewer") -> dict[str, str]:
    return {
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_PROVIDER_BASE_URL": model.url,
        "COPILOT_PROVIDER_API_KEY": model.api_key,
        "COPILOT_MODEL": name,
        "COPILOT_CLI_PATH": str(CLI),
    }


async def asked(model: SimulatedModel) -> None:
    """Wait until the model got its first request."""
    async with asyncio.timeout(30):
        while not model.requests:  # noqa: ASYNC110  the model is a server, it knows no waiters
            await asyncio.sleep(0.05)


async def ended(process: Process) -> Ended:
    stdout, stderr = await process.communicate()
    text = (stdout + stderr).decode(errors="replace")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return Ended(process.returncode or 0, text, lines)
