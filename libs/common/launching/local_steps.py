"""What each step of a local Job runs and sees: pure, given to `LocalLauncher` by the wiring.

A step gets its own settings and secrets and an allow-list of the launcher's environment, nothing
else (SR-16, SR-37): `clone` never sees the model key, `run` never the GitLab token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from libs.common.launching import contract
from libs.common.launching.contract import Contract
from libs.common.launching.protocol import Launch
from libs.common.launching.state import Step


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """`environment` is the launcher's own, `values` settings by the names of `contract`.

    `values` may hold more than a step may have; what it may is decided here.
    """

    python: str
    clones: Path
    environment: Mapping[str, str] = field(repr=False)
    values: Mapping[str, str] = field(repr=False)


def local_steps(launch: Launch, *, settings: LocalSettings, started_at: float) -> list[Step]:
    """`clone`, then `run`; `started_at` in seconds since 1970, their common deadline's start."""
    told = contract.to_environment(
        Contract(
            task_url=launch.task_url,
            task_token=launch.task_token,
            work_dir=settings.clones / launch.job_name,
            timeout=launch.timeout,
            started_at=started_at,
            traceparent=launch.traceparent,
        )
    )
    inherited: dict[contract.Step, dict[str, str]] = {
        "clone": _only(settings.environment, contract.INHERITED),
        "run": _only(settings.environment, (*contract.INHERITED, *contract.PROXIES)),
    }
    return [
        Step(
            name=name,
            argv=(settings.python, "-m", "services.runner", name),
            environment={**inherited[name], **_own(name, settings.values), **told},
        )
        for name in get_args(contract.Step)
    ]


def _own(step: contract.Step, values: Mapping[str, str]) -> dict[str, str]:
    return _only(values, (*contract.STEP_SETTINGS[step], *contract.BOTH_STEPS))


def _only(given: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: given[name] for name in names if given.get(name)}
