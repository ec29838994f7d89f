"""One Copilot session: the only module, with `tools`, that knows the SDK. Called by `run`.

The options are those under which the CLI reads nothing of the working directory by itself, since
that is the merge request's head (SR-12): no instruction files, no configuration, no skills.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog
from copilot import CopilotClient, RuntimeConnection, Tool
from copilot._cli_version import CLI_VERSION
from copilot.rpc import PermissionDecisionApproveOnce, PermissionDecisionReject
from copilot.session_events import (
    AssistantMessageData,
    AssistantUsageData,
    SessionErrorData,
    SessionEvent,
    SessionMcpServersLoadedData,
    ToolExecutionStartData,
)

from libs.common import telemetry
from libs.common.errors import AgentError, cut
from libs.common.events.tasks import Usage
from libs.common.leash import leashed
from services.runner import cli_spans
from services.runner.cli import version_warning
from services.runner.permissions import OUR_TOOLS, Walls, available, decide
from services.runner.untrusted import show_hidden

log = structlog.get_logger()
START_SECONDS = 60.0
STOP_SECONDS = 10.0
PINNED_CLI = CLI_VERSION or ""
MAX_TOOL_CALLS = 1000
Reason = Literal["auth", "timeout", "model", "no_result"]


class SessionFailed(AgentError):
    """The session ended without an answer; `reason` is that of the task's failure."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask: GitHub by token, or a provider of the operator's own. Holds secrets."""

    model: str = ""
    github_token: str = ""
    kind: Literal["openai", "azure", "anthropic"] = "openai"
    base_url: str = ""
    api_key: str = ""

    def __repr__(self) -> str:
        return f"Provider(model={self.model!r}, base_url={self.base_url!r})"


class SessionOrder(msgspec.Struct, frozen=True, kw_only=True):
    """All that a session needs; `timeout` is seconds for the conversation."""

    cli: Path
    wall: tuple[str, ...] = ()
    """The command that runs the CLI inside a wall; see `wall`."""
    arguments: tuple[str, ...] = ()
    """Of the CLI, before those of the SDK."""
    environment: dict[str, str]
    provider: Provider
    folder: Path
    """The working directory: the clone."""
    walls: Walls
    tools: list[Tool]
    system: str
    prompt: str
    timeout: float
    servers: dict[str, dict[str, Any]] = {}
    """MCP servers by name, as the SDK takes them; `walls` say which of their tools."""


class Heard(msgspec.Struct, kw_only=True):
    """What a session said while it ran."""

    text: str = ""
    usage: Usage = Usage()
    error: tuple[str, int | None, str] | None = None
    """Type, status and message of the session's error."""
    stages: dict[str, float] = msgspec.field(default_factory=dict)
    calls: int = 0
    gave_up: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """Set when this session will come to no end by itself, so that it costs no more."""

    def on_event(self, event: SessionEvent) -> None:
        match event.data:
            case AssistantUsageData() as usage:
                self.usage = _summed(self.usage, usage)
            case AssistantMessageData() as message:
                self.text = message.content or self.text
            case SessionErrorData() as error:
                self.error = (error.error_type, error.status_code, error.message)
            case SessionMcpServersLoadedData(servers=loaded):
                for server in loaded:
                    log.info("mcp server", server=server.name, status=server.status.value)
            case ToolExecutionStartData() as started:
                log.info("tool used", tool=started.tool_name)
                self.calls += 1
                if self.calls >= MAX_TOOL_CALLS:
                    self.gave_up.set()
            case _:
                pass


async def converse(order: SessionOrder, heard: Heard) -> None:
    """Run the session to its end; raises `SessionFailed`. `heard` is filled as it goes."""
    client = CopilotClient(
        connection=_leashed(order),
        env=order.environment,
        working_directory=str(order.folder),
        use_logged_in_user=False,
        log_level="error",
        telemetry=cli_spans.option(_home(order)),
    )
    began = time.monotonic()
    try:
        async with asyncio.timeout(min(START_SECONDS, order.timeout)):
            with telemetry.span("start session"):
                await client.start()
                await _say_version(client)
                session = await client.create_session(**_options(order, heard))
        heard.stages["start"] = round(time.monotonic() - began, 3)
        log.info("session started", model=order.provider.model or "default")
        left = order.timeout - (time.monotonic() - began)
        answer = session.send_and_wait(order.prompt, timeout=max(left, 0.1))
        with telemetry.span("session", attributes={"gen_ai.request.model": order.provider.model}):
            await _unless(heard.gave_up, answer)
            telemetry.note(_usage(heard.usage))
    except SessionFailed:
        raise
    except TimeoutError:
        raise SessionFailed("timeout", "the model did not finish in the task's time") from None
    except Exception as error:  # noqa: BLE001  the SDK raises plain exceptions for all that fails
        raise _failure(error, heard, order.provider) from None
    finally:
        heard.stages["session"] = round(
            time.monotonic() - began - heard.stages.get("start", 0.0), 3
        )
        await _stop(client)
        secrets = (order.provider.api_key, order.provider.github_token)
        await cli_spans.forward(_home(order), telemetry.current(), secrets)


def _home(order: SessionOrder) -> Path:
    return Path(order.environment["HOME"])


def _usage(usage: Usage) -> dict[str, telemetry.Value | None]:
    return {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "github.copilot.cost": usage.cost,
    }


async def _unless(gave_up: asyncio.Event, answer: Coroutine[Any, Any, object]) -> None:
    """Wait for the answer, but no longer than until it is hopeless."""
    answering = asyncio.create_task(answer)
    giving_up = asyncio.create_task(gave_up.wait())
    try:
        await asyncio.wait({answering, giving_up}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            await answering
        else:
            raise SessionFailed("no_result", "the model came to no end; the session was ended")
    finally:
        giving_up.cancel()
        answering.cancel()
        await asyncio.gather(answering, giving_up, return_exceptions=True)


def _leashed(order: SessionOrder) -> Any:
    """The CLI, in its wall, on a leash, so that it never outlives this process."""
    program, *arguments = leashed([*order.wall, str(order.cli), *order.arguments])
    return RuntimeConnection.for_stdio(path=program, args=tuple(arguments))


def _options(order: SessionOrder, heard: Heard) -> dict[str, Any]:
    def decided(request: Any, _: Any) -> Any:
        verdict = decide(
            str(request.kind),
            path=getattr(request, "path", None) or getattr(request, "file_name", None),
            tool=getattr(request, "tool_name", None),
            walls=order.walls,
            server=getattr(request, "server_name", None),
        )
        if verdict.allowed:
            return PermissionDecisionApproveOnce()
        log.warning("permission denied", kind=str(request.kind), why=verdict.why)
        return PermissionDecisionReject(feedback=verdict.why)

    # The SDK calls back outside of this task's context, which the log lines' trace is part of.
    context = contextvars.copy_context()
    options: dict[str, Any] = {
        "working_directory": str(order.folder),
        "available_tools": available(order.walls),
        "tools": order.tools,
        "on_permission_request": decided,
        "hooks": {"on_post_tool_use": shown},
        "on_event": lambda event: context.copy().run(heard.on_event, event),
        "system_message": {"mode": "replace", "content": order.system},
        "skip_custom_instructions": True,
        "enable_config_discovery": False,
        "enable_skills": False,
        "enable_on_demand_instruction_discovery": False,
        "enable_file_hooks": False,
        "enable_host_git_operations": False,
        "enable_session_store": False,
        "enable_session_telemetry": False,
        "skip_embedding_retrieval": True,
        "custom_agents_local_only": True,
        "large_output": {"enabled": False},
    }
    if order.servers:
        options["mcp_servers"] = order.servers
    if order.provider.github_token:
        # Given to the client instead, it would stand in the CLI's environment (SR-18).
        options["github_token"] = order.provider.github_token
    if order.provider.model:
        options["model"] = order.provider.model
    if order.provider.base_url:
        options["provider"] = {
            "type": order.provider.kind,
            "base_url": order.provider.base_url,
            **({"api_key": order.provider.api_key} if order.provider.api_key else {}),
        }
    return options


def shown(call: Any, _: Any) -> dict[str, Any] | None:
    """What a tool that is not ours answered, with its hidden characters written out (SR-13)."""
    answer = call["toolResult"]
    text = answer.get("textResultForLlm") if isinstance(answer, dict) else None
    if call["toolName"] in OUR_TOOLS or not isinstance(text, str):
        return None
    visible = show_hidden(text)
    return {"modifiedResult": {**answer, "textResultForLlm": visible}} if visible != text else None


async def _say_version(client: CopilotClient) -> None:
    warning = version_warning(PINNED_CLI, (await client.get_status()).version)
    if warning:
        log.warning("versions differ", detail=warning)


async def _stop(client: CopilotClient) -> None:
    """End the CLI, asked first; bounded, so that the result is handed in at all."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await client.stop()
    except Exception as error:  # noqa: BLE001  a failed goodbye must not hide the review
        log.warning("session did not stop by itself, so it was ended", why=cut(_said(error)))
        await client.force_stop()


def _said(error: Exception) -> str:
    """What went wrong in words; the SDK tells of a stop in groups of exceptions."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(_said(inner) for inner in error.exceptions)
    if isinstance(error, TimeoutError):
        return f"no answer within {STOP_SECONDS:g} s"
    return str(error) or type(error).__name__


def _summed(usage: Usage, more: AssistantUsageData) -> Usage:
    return Usage(
        model=more.model or usage.model,
        input_tokens=usage.input_tokens + (more.input_tokens or 0),
        output_tokens=usage.output_tokens + (more.output_tokens or 0),
        cache_read_tokens=usage.cache_read_tokens + (more.cache_read_tokens or 0),
        cost=usage.cost + (more.cost or 0.0),
        seconds=usage.seconds + (more.duration.total_seconds() if more.duration else 0.0),
    )


def _bad_token(message: str) -> bool:
    """GitHub's answer to a token of no use, as told when the session is made."""
    low = message.lower()
    asked = "token validation failed" in low or "authentication failed" in low
    return asked and "network" not in low and "fetch failed" not in low


def _failure(error: Exception, heard: Heard, provider: Provider) -> SessionFailed:
    """The SDK raises plain exceptions; the type is in the session's error event."""
    kind, status, message = heard.error or ("", None, str(error) or type(error).__name__)
    for secret in (provider.api_key, provider.github_token):
        message = message.replace(secret, "[redacted]") if secret else message
    refused = kind == "authentication" or status in {401, 403} or _bad_token(message)
    if refused:
        name = "COPILOT_PROVIDER_API_KEY" if provider.base_url else "GITHUB_TOKEN"
        return SessionFailed("auth", f"the model refused our key; check {name} ({cut(message)})")
    return SessionFailed("model", cut(message))
