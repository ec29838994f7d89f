"""The session's own tools over a real clone, and a review whose session is played by the test."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from copilot import ToolInvocation
from copilot.session_events import AssistantUsageData, ToolExecutionStartData

from libs.common.clock import SystemClock
from libs.common.events.tasks import ReviewDone, TaskFailed, Usage
from libs.common.launching.contract import ExitCode
from services.runner import gathering
from services.runner.door import TaskDoor
from services.runner.review import review
from services.runner.run import SessionPorts, run_task
from services.runner.session import MAX_TOOL_CALLS, Heard, Provider, SessionFailed, _bad_token
from services.runner.tools import GitTools
from tests.fakes.task_door import running_task_door
from tests.integration.runner_world import AFTER, BEFORE, CLI, World, merge_request

pytestmark = pytest.mark.real


@pytest.fixture
async def tools(tmp_path):
    base = {"shop/prices.py": BEFORE, "data.bin": b"a\0b", "other.py": b"x = 1\n"}
    head = {"shop/prices.py": AFTER, "big.py": b"".join(b"n = %d\n" % n for n in range(2500))}
    made = merge_request(tmp_path, base=base, head=head)
    async with running_task_door(made.spec) as door:
        world = await World(tmp_path / "work", made, door).cloned()
    folder = world.contract.repository
    diff, _ = await gathering.changes(folder, made.spec)
    made_tools = GitTools(
        folder=folder,
        refs=made.spec.diff_refs,
        diff=diff,
    )
    return {tool.name: tool for tool in made_tools.all()}


async def call(tools, name, arguments):
    return await tools[name].handler(ToolInvocation(tool_name=name, arguments=arguments))


async def test_the_whole_diff_comes_in_pages(tools):
    first = await call(tools, "git_diff", {})
    second = await call(tools, "git_diff", {"page": 2})

    assert "diff --git a/big.py" in first.text_result_for_llm
    assert "(more: call git_diff with page=2, of " in first.text_result_for_llm
    assert len(first.text_result_for_llm.encode()) < 20_480
    assert second.text_result_for_llm.startswith("+n = ")


async def test_one_file_s_diff_is_asked_by_its_path(tools):
    answer = await call(tools, "git_diff", {"path": "shop/prices.py"})

    assert "+def total(prices, seen=[]):" in answer.text_result_for_llm
    assert "big.py" not in answer.text_result_for_llm


async def test_both_sides_of_a_file_are_shown_with_line_numbers(tools):
    new = await call(tools, "git_show", {"path": "shop/prices.py", "side": "new"})
    old = await call(tools, "git_show", {"path": "shop/prices.py", "side": "old"})

    assert "4\tdef total(prices, seen=[]):" in new.text_result_for_llm
    assert "4\tdef total(prices):" in old.text_result_for_llm


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("git_diff", {"path": "other.py"}, "not in the diff"),
        ("git_show", {"path": "../origin/HEAD", "side": "new"}, "no such file"),
        ("git_show", {"path": "/etc/passwd", "side": "new"}, "no such file"),
        ("git_show", {"path": ".git/config", "side": "new"}, "no such file"),
        ("git_show", {"path": "big.py", "side": "old"}, "no such file"),
        ("git_show", {"path": "data.bin", "side": "new"}, "binary"),
        ("git_show", {"path": "other.py", "side": "up"}, "'new' or 'old'"),
        ("git_show", {"path": ["other.py"], "side": "new"}, "no such file"),
        ("git_show", {"path": "--output=x", "side": "new"}, "no such file"),
        ("git_show", None, "no such file"),
    ],
)
async def test_what_cannot_be_shown_is_said(tools, name, arguments, said):
    """SR-20."""
    answer = await call(tools, name, arguments)

    assert answer.result_type == "failure"
    assert said in answer.text_result_for_llm


@pytest.mark.parametrize("page", [0, -1, 99, "two", None, [1]])
async def test_any_page_gets_an_answer(tools, page):
    answer = await call(tools, "git_diff", {"path": "shop/prices.py", "page": page})

    assert answer.text_result_for_llm


async def played(tmp_path, converse):
    made = merge_request(tmp_path)
    async with running_task_door(made.spec) as door:
        world = await World(tmp_path / "work", made, door).cloned()
        contract = world.contract
        ports = SessionPorts(
            door=TaskDoor(contract.task_url, contract.task_token, clock=SystemClock()),
            clock=SystemClock(),
            provider=Provider(),
            cli=CLI,
            cache=None,
            converse=converse,
            environment={},
        )
        assert await run_task(contract, ports, {"review": review}) == ExitCode.DONE
    return door.results[0]


async def submit(order, *lines):
    findings = [
        {
            "file": "shop/prices.py",
            "side": "new",
            "line": line,
            "severity": "info",
            "comment": f"Line {line}.",
        }
        for line in lines
    ]
    tool = next(tool for tool in order.tools if tool.name == "submit_review")
    arguments = {"summary": "Said.", "findings": findings}
    return await tool.handler(ToolInvocation(tool_name=tool.name, arguments=arguments))


async def test_a_refused_review_is_not_lost_when_the_session_runs_out_of_time(tmp_path):
    async def converse(order, heard):
        heard.usage = Usage(input_tokens=5)
        assert (await submit(order, 4, 99)).result_type == "failure"
        raise SessionFailed("timeout", "too late")

    result = await played(tmp_path, converse)

    assert isinstance(result, ReviewDone)
    assert [(f.line, f.position is None) for f in result.findings] == [(4, False), (99, True)]
    assert result.usage.input_tokens == 5


async def test_a_session_that_says_nothing_is_no_result(tmp_path):
    async def converse(_, heard):
        heard.text = "  \n"

    result = await played(tmp_path, converse)

    assert isinstance(result, TaskFailed)
    assert result.reason == "no_result"


async def test_our_own_mistake_is_handed_in_as_one(tmp_path):
    async def converse(*_):
        raise KeyError("unexpected")

    result = await played(tmp_path, converse)

    assert isinstance(result, TaskFailed)
    assert result.reason == "internal"


def test_usage_is_summed_over_all_calls_of_the_model():
    heard = Heard()
    for tokens in (10, None, 5):
        heard.on_event(
            SimpleNamespace(
                data=AssistantUsageData(
                    model="m",
                    input_tokens=tokens,
                    output_tokens=1,
                    cost=0.5,
                    duration=timedelta(seconds=2),
                )
            )
        )

    assert heard.usage == Usage(model="m", input_tokens=15, output_tokens=3, cost=1.5, seconds=6.0)


def test_a_session_of_too_many_tool_calls_is_given_up():
    heard = Heard()
    for number in range(MAX_TOOL_CALLS):
        assert not heard.gave_up.is_set()
        heard.on_event(
            SimpleNamespace(data=ToolExecutionStartData(tool_call_id=str(number), tool_name="view"))
        )

    assert heard.gave_up.is_set()


@pytest.mark.parametrize(
    ("message", "bad"),
    [
        ("Authentication failed: Failed to validate SDK token: HTTP 401 Bad credentials", True),
        ("GitHub token validation failed: 401", True),
        ("GitHub token validation failed: network fetch failed: request failed", False),
        ("No response was returned.", False),
    ],
)
def test_a_refused_github_token_is_told_from_a_network_that_is_away(message, bad):
    assert _bad_token(message) is bad
