"""The simulated model driven by the real Copilot CLI: how a session with each mode ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from copilot import CopilotClient, RuntimeConnection, ToolInvocation, ToolResult
from copilot._cli_version import CLI_VERSION
from copilot.rpc import PermissionDecisionApproveOnce, PermissionDecisionReject
from copilot.session_events import AssistantMessageData, AssistantUsageData, SessionErrorData
from copilot.tools import Tool
from pydantic import BaseModel, ValidationError

from tests.simulators.model import SimulatedModel, running_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Remark(BaseModel):
    file: str
    side: Literal["new", "old"]
    line: int
    end_line: int | None = None
    severity: Literal["error", "warning", "info"]
    comment: str
    suggestion: str | None = None
    suggestion_start: int | None = None
    suggestion_end: int | None = None


class Review(BaseModel):
    summary: str
    findings: list[Remark]


@dataclass
class Ended:
    """How one session ended, and what it left."""

    review: Review | None = None
    text: str = ""
    error: str = ""
    error_type: str = ""
    submitted: int = 0
    calls: list[str] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Clone:
    """A repository with one change: line 2 of `cart.py` is new, and it has a defect."""

    path: Path

    def git(self, *arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(self.path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def diff(self) -> str:
        return self.git("diff", "HEAD~1")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone")
    made.path.mkdir()
    made.git("init", "-q")
    for text in (
        "def total(cart):\n",
        "def total(cart):\n    if cart == None:\n        return 0\n",
    ):
        (made.path / "cart.py").write_text(text)
        (made.path / "AGENTS.md").write_text("CANARY-HEAD-INSTRUCTIONS")
        made.git("add", ".")
        made.git("commit", "-q", "--allow-empty", "-m", "Change")
    return made


def cli_path() -> str:
    fetched = Path.home() / f".cache/gitlab-copilot-agent/cli/{CLI_VERSION}/copilot"
    path = Path(os.environ.get("COPILOT_CLI_PATH") or fetched)
    assert path.is_file(), f"no Copilot CLI at {path}: set COPILOT_CLI_PATH or run `make setup`"
    return str(path)


@asynccontextmanager
async def running_cli(clone: Clone) -> AsyncIterator[CopilotClient]:
    home = clone.path.parent / "home"
    home.mkdir()
    # One unpacked CLI for all tests (235 MB); the home is new each time.
    cache = str(Path.home() / ".cache")
    client = CopilotClient(
        connection=RuntimeConnection.for_stdio(path=cli_path()),
        env={"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CACHE_HOME": cache},
        working_directory=str(clone.path),
        use_logged_in_user=False,
    )
    await client.start()
    process = client._cli_process
    try:
        yield client
    finally:
        await client.stop()
        # SDK 1.0.25 leaves these two open, which is a ResourceWarning later, in another test.
        for pipe in (process.stdout, process.stderr) if process else ():
            if pipe:
                pipe.close()


def session_tools(clone: Clone, ended: Ended) -> list[Tool]:
    def git_diff(_: ToolInvocation) -> ToolResult:
        return ToolResult(text_result_for_llm=clone.diff())

    def submit_review(invocation: ToolInvocation) -> ToolResult:
        ended.submitted += 1
        try:
            review = Review.model_validate(invocation.arguments)
        except ValidationError as error:
            return ToolResult(result_type="failure", text_result_for_llm=f"Invalid: {error}")
        wrong = [f"{one.file}: line {one.line} is not in the diff" for one in review.findings]
        wrong = [one for one, r in zip(wrong, review.findings, strict=True) if r.line > 3]
        if wrong:
            told = "; lines that are: 1-3\n".join([*wrong, ""])
            return ToolResult(result_type="failure", text_result_for_llm=told)
        ended.review = review
        return ToolResult(text_result_for_llm="accepted")

    path = {"type": "object", "properties": {"path": {"type": "string"}}}
    return [
        Tool("git_diff", "The change", git_diff, path, skip_permission=True),
        Tool(
            "submit_review",
            "Hand in the review",
            submit_review,
            Review.model_json_schema(),
            skip_permission=True,
            is_terminal=True,
        ),
    ]


async def review_session(
    client: CopilotClient, model: SimulatedModel, clone: Clone, name: str, *, limit: float = 40
) -> Ended:
    ended = Ended()

    def decide(asked: Any, _: Any) -> PermissionDecisionApproveOnce | PermissionDecisionReject:
        ended.calls.append(asked.kind)
        wanted = Path(getattr(asked, "path", "/")).resolve()
        if asked.kind == "read" and wanted.is_relative_to(clone.path.resolve()):
            return PermissionDecisionApproveOnce()
        return PermissionDecisionReject(feedback="outside of the clone")

    def note(event: Any) -> None:
        if isinstance(event.data, SessionErrorData):
            ended.error_type = event.data.error_type
        elif isinstance(event.data, AssistantUsageData):
            ended.tokens += (event.data.input_tokens or 0) + (event.data.output_tokens or 0)

    session = await client.create_session(
        model=name,
        provider={"type": "openai", "base_url": model.url, "api_key": model.api_key},
        working_directory=str(clone.path),
        available_tools=["view", "grep", "glob", "git_diff", "submit_review"],
        tools=session_tools(clone, ended),
        on_permission_request=decide,
        on_event=note,
        skip_custom_instructions=True,
        enable_config_discovery=False,
        enable_skills=False,
        large_output={"enabled": False},
        system_message={"mode": "replace", "content": "You review a change."},
    )
    start = time.monotonic()
    try:
        last = await session.send_and_wait("Review the change in this clone.", timeout=limit)
        if last and isinstance(last.data, AssistantMessageData):
            ended.text = last.data.content
    except TimeoutError:
        ended.error = "time-out"
        await session.abort()
    except Exception as error:  # noqa: BLE001  # the SDK raises plain Exception for a session's error
        ended.error = str(error)
    ended.seconds = time.monotonic() - start
    return ended


@pytest.mark.real
async def test_the_real_cli_reviews_a_change_and_hands_in_findings(clone: Clone) -> None:
    async with running_model() as model, running_cli(clone) as client:
        ended = await review_session(client, model, clone, "sim-reviewer")
        assert ended.error == ""
        assert ended.review is not None
        (found,) = ended.review.findings
        assert (found.file, found.side, found.line, found.severity) == ("cart.py", "new", 2, "info")
        assert found.suggestion == "    if cart is None:"
        assert ended.review.summary == (
            "Looked at 1 changed file (2 lines added, 0 removed). Found 1 info."
        )
        assert ended.calls[:1] == ["read"]
        assert ended.tokens > 0
        told = "".join(recorded.text for recorded in model.requests)
        assert set(model.requests[0].tools) == {"view", "grep", "glob", "git_diff", "submit_review"}
        assert model.requests[0].system == "You review a change."
        assert "CANARY-HEAD-INSTRUCTIONS" not in told
        assert model.api_key not in told


# Mode: what a session with it ends as; the time-out is 25 s, more than all tries of the CLI take.
ENDS: dict[str, dict[str, Any]] = {
    "sim-mends": {"error": "", "submitted": 2, "lines": [3]},
    "sim-garbage": {"error": "", "submitted": 0, "text": "half an ans"},
    "sim-empty": {"error": "No response was returned", "error_type": "query"},
    "sim-huge": {"error": "", "submitted": 1, "findings": 1_000},
    "sim-wrong-arguments": {"error": "time-out"},
    "sim-no-tool-json": {"error": "", "submitted": 0, "text": '"suggestion_end": 2'},
    "sim-no-tool-array": {"error": "", "submitted": 0, "text": '[{"file": "cart.py"'},
    "sim-no-tool-text": {"error": "", "submitted": 0, "text": "- cart.py:2:"},
    "sim-http-500": {"error": "Last error: 500", "error_type": "query"},
    "sim-http-401": {"error": "Authentication failed", "error_type": "authentication"},
    "sim-http-429": {"error": "Last error: 429", "error_type": "rate_limit"},
    "sim-html": {"error": "not valid JSON", "error_type": "query"},
    "sim-broken-json": {"error": "not valid JSON", "error_type": "query"},
    "sim-wrong-shape": {"error": "No response was returned", "error_type": "query"},
    "sim-slow": {"error": "time-out"},
    "sim-endless": {"error": "time-out"},
}
# These two would only burn processor time until the end.
SHORT = {"sim-wrong-arguments": 2.0, "sim-endless": 2.0, "sim-slow": 2.0}


def seen(ended: Ended, expected: dict[str, Any]) -> dict[str, Any]:
    """The part of the end that `expected` speaks of; a text that is contained counts as equal."""
    findings = ended.review.findings if ended.review else []
    facts: dict[str, Any] = {
        "error": ended.error,
        "error_type": ended.error_type,
        "submitted": ended.submitted,
        "text": ended.text,
        "findings": len(findings),
        "lines": [one.line for one in findings],
    }
    parts = {name for name, text in expected.items() if isinstance(text, str) and text}
    return {
        name: expected[name] if name in parts and expected[name] in facts[name] else facts[name]
        for name in expected
    }


@pytest.mark.real
async def test_each_mode_ends_a_session_of_the_real_cli_in_a_known_way(clone: Clone) -> None:
    async with running_model() as model, running_cli(clone) as client:
        ends = await asyncio.gather(
            *(
                review_session(client, model, clone, mode, limit=SHORT.get(mode, 40))
                for mode in ENDS
            )
        )
    assert {m: seen(e, ENDS[m]) for m, e in zip(ENDS, ends, strict=True)} == ENDS


@pytest.mark.real
async def test_forbidden_tools_give_the_model_nothing(clone: Clone) -> None:
    """No shell, no web, no write, and no reading outside of the clone (SR-20)."""
    async with running_model() as model, running_cli(clone) as client:
        ended = await review_session(client, model, clone, "sim-forbidden-tools")
        assert ended.review is not None
        answers = ended.review.summary.split("\n")
    refused = [line for line in answers if "does not exist" in line or "rejected" in line]
    assert [line for line in answers if "root:" in line or "HOME=" in line] == []
    assert len(refused) >= 10
    assert (clone.path / "planted.txt").exists() is False
