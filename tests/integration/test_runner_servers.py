"""MCP servers of a repository: ignored, or where the operator allows it, the target branch's only.

The Copilot CLI and the server are real processes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from libs.common.events.tasks import ReviewDone
from tests.fakes.task_door import running_task_door
from tests.integration.runner_scripted_model import scripted_model
from tests.integration.runner_world import AFTER, BEFORE, MODEL_KEY, World, ended, merge_request
from tests.simulators.model.replies import Call

pytestmark = pytest.mark.real
SERVER = (Path(__file__).parent / "runner_mcp_server.py").read_bytes()
SAY, SHOUT = Call("words-say", {"word": "hello"}), Call("words-shout", {"word": "hello"})
ALLOWED = {"ALLOW_REPOSITORY_MCP_SERVERS": "true"}


def asking(seen: Path, *, tools: tuple[str, ...] = ("say",)) -> dict[str, bytes]:
    """A repository with the server's code in it and a file that asks for it."""
    server = {
        "command": sys.executable,
        "args": ["tools/server.py", str(seen)],
        "tools": list(tools),
        "env": {"WORDS_MODE": "short"},
    }
    return {
        ".mcp.json": json.dumps({"mcpServers": {"words": server}}).encode(),
        "tools/server.py": SERVER,
        "version.txt": b"of-the-target",
    }


def as_agent(seen: Path) -> dict[str, bytes]:
    """The same, asked for by an agent's front matter."""
    files = asking(seen)
    del files[".mcp.json"]
    agent = f"""\
---
name: speaker
mcp-servers:
  words:
    type: 'local'
    command: {sys.executable}
    args: ["tools/server.py", '{seen}']
    tools:
      - say
---
Speak.
"""
    return {**files, ".github/agents/speaker.agent.md": agent.encode()}


async def reviewed(tmp_path, made, *calls, **environment):
    """The summary, the tools the model was offered at last, the step's end."""
    async with (
        running_task_door(made.spec) as door,
        scripted_model(*calls, api_key=MODEL_KEY) as model,
    ):
        world = await World(tmp_path / "work", made, door).cloned()
        done = await ended(
            await world.start(
                "run",
                COPILOT_PROVIDER_TYPE="openai",
                COPILOT_PROVIDER_BASE_URL=model.url,
                COPILOT_PROVIDER_API_KEY=MODEL_KEY,
                COPILOT_MODEL="scripted",
                **environment,
            )
        )
    assert done.code == 0, done.stderr
    [result] = door.results
    assert isinstance(result, ReviewDone), (result, done.stderr)
    return result.summary, model, done


async def test_servers_are_ignored_unless_the_operator_allows_them_and_the_log_says_so_once(
    tmp_path,
):
    """SR-12, SR-20."""
    seen = tmp_path / "seen.json"
    made = merge_request(tmp_path, base={"shop/prices.py": BEFORE, **asking(seen)})

    summary, model, done = await reviewed(tmp_path, made, SAY)

    assert "'words-say' does not exist" in summary
    assert not [name for name in model.offered[0] if "words" in name]
    assert not seen.exists()
    [line] = done.said("mcp servers of the repository are ignored")
    assert (line["servers"], line["setting"]) == (["words"], "ALLOW_REPOSITORY_MCP_SERVERS")


@pytest.mark.parametrize("form", [asking, as_agent])
async def test_an_allowed_server_of_the_target_branch_answers_by_its_named_tools_only(
    tmp_path, form
):
    """SR-12, SR-13, SR-20: also hidden characters in its answers are shown."""
    made = merge_request(tmp_path, base={"shop/prices.py": BEFORE, **form(tmp_path / "seen.json")})

    summary, model, done = await reviewed(tmp_path, made, SAY, SHOUT, **ALLOWED)

    said, refused = summary.splitlines()
    assert said.startswith("words-say -> WORDS of-the-target say: hello")
    assert "\u200b" not in summary
    assert "'words-shout' does not exist" in refused
    assert "words-say" in model.offered[-1]
    assert [line["status"] for line in done.said("mcp server")] == ["connected"]
    assert "The tools words-…" in json.dumps(model.texts[0], ensure_ascii=False)


async def test_an_allowed_server_sees_no_secret_and_runs_the_target_branch_s_code(tmp_path):
    """SR-12, SR-18: neither in its environment nor in those of the processes above it."""
    seen = tmp_path / "seen.json"
    made = merge_request(
        tmp_path,
        base={"shop/prices.py": BEFORE, **asking(seen)},
        head={"shop/prices.py": AFTER, "version.txt": b"of-the-head", "tools/server.py": b"1/0"},
    )

    summary, _, _ = await reviewed(
        tmp_path, made, SAY, GITHUB_TOKEN="canary-github-0123456789", **ALLOWED
    )

    assert "WORDS of-the-target" in summary
    told = json.loads(seen.read_text())
    assert told["folder"] == str((tmp_path / "work" / "target").resolve())
    assert told["environment"]["WORDS_MODE"] == "short"
    names = {name for name in told["environment"] if "TOKEN" in name or "KEY" in name}
    assert names == {"GIT_CONFIG_KEY_0"}
    shown = json.dumps(told)
    for secret in (MODEL_KEY, "canary-github-0123456789", "task-token"):
        assert secret not in shown
    assert len(told["above"]) >= 2


async def test_servers_that_only_the_head_asks_for_are_never_started(tmp_path):
    """SR-12."""
    seen = tmp_path / "seen.json"
    made = merge_request(tmp_path, head={"shop/prices.py": AFTER, **asking(seen)})

    summary, _, done = await reviewed(tmp_path, made, SAY, **ALLOWED)

    assert "'words-say' does not exist" in summary
    assert not seen.exists()
    assert done.said("mcp servers allowed") == []


async def test_a_server_that_does_not_start_costs_its_tools_and_not_the_review(tmp_path):
    broken = {"bad": {"command": "/nowhere/at-all"}, "far": {"type": "http", "url": "http://h"}}
    made = merge_request(
        tmp_path,
        base={"shop/prices.py": BEFORE, ".github/mcp.json": json.dumps(broken).encode()},
    )

    summary, _, done = await reviewed(tmp_path, made, Call("bad-say"), **ALLOWED)

    assert "'bad-say' does not exist" in summary
    assert [line["status"] for line in done.said("mcp server")] == ["failed"]
    [left] = done.said("mcp server left out")
    assert "'far' is not local" in left["why"]
