"""Builds what a step needs from its environment and runs it. Called by `__main__` only."""

from __future__ import annotations

import functools
import os
from collections.abc import MutableMapping
from pathlib import Path

import structlog

from libs.common import telemetry
from libs.common.clock import SystemClock
from libs.common.git.clone import clone_merge_request
from libs.common.launching.contract import (
    POD_WALL,
    TASK_TOKEN,
    WALL,
    Contract,
    ExitCode,
    Step,
    from_environment,
)
from libs.common.settings import load, reveal
from services.runner.cli import find_cli, own_cache
from services.runner.clone import ClonePorts, clone_step
from services.runner.door import NoTaskDoor, ResultRefused, TaskDoor
from services.runner.settings import CloneSettings, RunSettings

log = structlog.get_logger()
SOURCE = "runner"
SPANS = "spans.json"
"""In the work folder: what the step `clone` leaves of its trace for `run` to send."""


async def run_step(step: Step, environment: MutableMapping[str, str]) -> ExitCode:
    """Run one step to its exit code; raises `SettingsError` before anything is started."""
    contract = from_environment(environment)
    environment.pop(TASK_TOKEN, None)
    task_id = contract.task_url.rpartition("/")[2]
    structlog.contextvars.bind_contextvars(task_id=task_id)
    if step == "run":
        telemetry.take_over(contract.work_dir / SPANS, SOURCE)
    with telemetry.span(
        f"job {step}", parent=contract.traceparent, attributes={"gca.task_id": task_id}
    ) as span:
        code = await _to_its_end(step, contract, environment)
        span.set({"gca.exit_code": int(code)})
        if code is not ExitCode.DONE:
            span.failed(code.name.lower())
    if step == "clone" and code is ExitCode.DONE:
        # The collector may be slow; the session must not wait for it.
        telemetry.hand_over(contract.work_dir / SPANS)
    return code


async def _to_its_end(
    step: Step, contract: Contract, environment: MutableMapping[str, str]
) -> ExitCode:
    try:
        if step == "clone":
            return await _clone(contract, load(CloneSettings, environment))
        return await _run(contract, load(RunSettings, environment))
    except ResultRefused as refused:
        log.warning("result refused", detail=str(refused))
        return ExitCode.RESULT_REFUSED
    except NoTaskDoor as away:
        log.critical("no task door", detail=str(away))
        return ExitCode.NO_TASK_DOOR


async def _clone(contract: Contract, settings: CloneSettings) -> ExitCode:
    ports = ClonePorts(
        door=_door(contract),
        clone=functools.partial(clone_merge_request, token=reveal(settings.gitlab_read_token)),
        clock=SystemClock(),
        allow_http=settings.allow_http_gitlab,
    )
    return await clone_step(contract, ports)


async def _run(contract: Contract, settings: RunSettings) -> ExitCode:
    # Not at the top: the SDK takes a second to import, and the step `clone` has no use for it.
    from services.runner.ask import ask  # noqa: PLC0415
    from services.runner.coding import coding  # noqa: PLC0415
    from services.runner.review import review  # noqa: PLC0415
    from services.runner.run import SessionPorts, run_task  # noqa: PLC0415
    from services.runner.session import PINNED_CLI, Provider, converse  # noqa: PLC0415

    provider = Provider(
        model=settings.copilot_model,
        github_token="" if settings.copilot_provider_base_url else reveal(settings.github_token),
        kind=settings.copilot_provider_type,
        base_url=settings.copilot_provider_base_url or "",
        api_key=reveal(settings.copilot_provider_api_key),
    )
    cache = own_cache(settings.xdg_cache_home, Path.home())
    ports = SessionPorts(
        door=_door(contract),
        clock=SystemClock(),
        provider=provider,
        cli=find_cli(settings.copilot_cli_path, PINNED_CLI, cache),
        cache=cache,
        converse=converse,
        environment=dict(os.environ),
        servers_allowed=settings.allow_repository_mcp_servers,
        unsandboxed_allowed=settings.allow_unsandboxed_coding,
        in_pod=os.environ.get(WALL) == POD_WALL,
    )
    return await run_task(contract, ports, {"review": review, "ask": ask, "coding": coding})


def _door(contract: Contract) -> TaskDoor:
    return TaskDoor(
        contract.task_url,
        contract.task_token,
        clock=SystemClock(),
        ca_bundle=contract.ca_bundle,
    )
