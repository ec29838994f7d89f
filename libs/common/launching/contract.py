"""What a Job is told by its environment and says by its exit code: one contract, both sides.

Written by the launchers (`to_environment`), read by `services.runner` (`from_environment`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Literal

import msgspec

from libs.common.errors import SettingsError

Step = Literal["clone", "run"]

TASK_URL = "GCA_TASK_URL"
TASK_TOKEN = "GCA_TASK_TOKEN"  # noqa: S105  the variable's name, not a token
WORK_DIR = "GCA_WORK_DIR"
TIMEOUT = "GCA_TASK_TIMEOUT"
STARTED_AT = "GCA_STARTED_AT"
TRACEPARENT = "TRACEPARENT"
CA_BUNDLE = "CA_BUNDLE"
CLI_CACHE = "XDG_CACHE_HOME"
OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
WALL = "GCA_WALL"
"""Tells the step `run` what walls it in; not set: bubblewrap, or what the settings allow."""
POD_WALL = "pod"
"""Value of `WALL` in a pod of its own, where the runner needs no bubblewrap."""

INHERITED = ("PATH", "HOME", "LANG", "TERM", "TMPDIR", "USER")
"""All that a step may take over from its launcher's own environment."""
PROXIES = (
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"),
    *("https_proxy", "http_proxy", "no_proxy"),
)
"""What the step `run` may take over besides, for the model; GitLab and the task door never go
through a proxy."""
STEP_SETTINGS: dict[Step, tuple[str, ...]] = {
    "clone": ("GITLAB_READ_TOKEN", "ALLOW_HTTP_GITLAB"),
    "run": (
        "GITHUB_TOKEN",
        "COPILOT_PROVIDER_TYPE",
        "COPILOT_PROVIDER_BASE_URL",
        "COPILOT_PROVIDER_API_KEY",
        "COPILOT_MODEL",
        "COPILOT_CLI_PATH",
        "ALLOW_REPOSITORY_MCP_SERVERS",
        "ALLOW_UNSANDBOXED_CODING",
    ),
}
"""Settings, secrets among them, that each step gets and the other does not (SR-16, SR-37)."""
BOTH_STEPS = (CA_BUNDLE, "LOG_LEVEL", CLI_CACHE, OTLP_ENDPOINT)
"""Settings that either step gets when the launcher has them."""


class ExitCode(IntEnum):
    """How a step ended; only the launcher and people read it, the result is at the task door."""

    DONE = 0
    """`clone`: the clone is there. `run`: the result was handed in (a typed failure too)."""
    RESULT_REFUSED = 10
    """The task door would not take the result: someone else ended the task, or it does not fit."""
    NO_TASK_DOOR = 11
    """No contact with the task door, or it does not know us."""
    WRONG_SETTINGS = 12
    """Settings are missing or wrong; nothing was started."""
    TASK_FAILED = 13
    """`clone` failed and said so at the task door: `run` has nothing to do."""
    INTERNAL = 70
    """Our own mistake; the log has the traceback."""
    STOPPED = 143
    """Ended by SIGTERM, 128 + 15 as shells count it."""


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a Job's environment that is about its task; `timeout` is for both steps."""

    task_url: str
    task_token: str
    work_dir: Path
    timeout: int = 1800
    started_at: float = 0.0
    """When the Job began, seconds since 1970, so that both steps share one deadline; 0: now."""
    traceparent: str = ""
    ca_bundle: str = ""

    @property
    def repository(self) -> Path:
        """Where `clone` leaves the clone for `run`."""
        return self.work_dir / "repo"


def to_environment(contract: Contract) -> dict[str, str]:
    """The contract as environment variables; empty ones are left out."""
    values = {
        TASK_URL: contract.task_url,
        TASK_TOKEN: contract.task_token,
        WORK_DIR: str(contract.work_dir),
        TIMEOUT: str(contract.timeout),
        STARTED_AT: str(contract.started_at) if contract.started_at else "",
        TRACEPARENT: contract.traceparent,
        CA_BUNDLE: contract.ca_bundle,
    }
    return {name: value for name, value in values.items() if value}


def from_environment(environment: Mapping[str, str]) -> Contract:
    """The contract as found; raises `SettingsError` with a line for each problem."""
    missing = [name for name in (TASK_URL, TASK_TOKEN, WORK_DIR) if not environment.get(name)]
    problems = [f"{name} is not set; the launcher sets it for each Job" for name in missing]
    timeout = _number(environment, TIMEOUT, "1800", problems)
    started_at = _number(environment, STARTED_AT, "0", problems)
    if problems:
        raise SettingsError(problems)
    return Contract(
        task_url=environment[TASK_URL],
        task_token=environment[TASK_TOKEN],
        work_dir=Path(environment[WORK_DIR]),
        timeout=int(timeout),
        started_at=started_at,
        traceparent=environment.get(TRACEPARENT, ""),
        ca_bundle=environment.get(CA_BUNDLE, ""),
    )


def _number(environment: Mapping[str, str], name: str, default: str, problems: list[str]) -> float:
    text = environment.get(name) or default
    try:
        return float(text)
    except ValueError:
        problems.append(f"{name} is not a number: {text[:40]!r}")
        return 0.0
