"""A whole review: real CLI, real git, a scripted model, a task door that keeps what it gets."""

from __future__ import annotations

import pytest

from libs.common.events.tasks import ReviewDone
from tests.fakes.task_door import running_task_door
from tests.integration.runner_scripted_model import scripted_model
from tests.integration.runner_world import AFTER, MODEL_KEY, World, ended, merge_request
from tests.simulators.model import running_model

pytestmark = pytest.mark.real


async def test_a_review_is_handed_in_with_positions_usage_and_stages(tmp_path):
    made = merge_request(tmp_path)
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()

        ended = await world.run(model)

    assert ended.code == 0, ended.stderr
    [result] = door.results
    assert isinstance(result, ReviewDone)
    assert [(f.file, f.line, f.end_line) for f in result.findings] == [
        ("shop/prices.py", 4, 4),
        ("shop/prices.py", 9, 10),
    ]
    assert [f.position.end.new_line for f in result.findings if f.position] == [4, 10]
    assert [f.line_text.strip() for f in result.findings] == [
        "def total(prices, seen=[]):",
        "pass",
    ]
    assert result.files_reviewed == ("shop/prices.py",)
    assert result.usage.model == "sim-reviewer"
    assert result.usage.input_tokens > 0
    assert ended.said("versions differ") == []
    assert set(result.stages) == {"start", "session"}


async def test_a_finding_covers_what_its_suggestion_replaces_so_that_it_is_one_click_sr_29(
    tmp_path,
):
    documented = AFTER.replace(b"seen=[]):\n", b'seen=[]):\n    """The sum."""\n')
    made = merge_request(tmp_path, head={"shop/prices.py": documented})
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()

        ended = await world.run(model)

    assert ended.code == 0, ended.stderr
    finding = door.results[0].findings[0]
    assert (finding.suggestion_start, finding.suggestion_end) == (4, 5)
    assert (finding.line, finding.end_line) == (4, 5)
    assert (finding.position.start.new_line, finding.position.end.new_line) == (4, 5)


async def test_progress_lines_name_the_tools_and_carry_the_trace(tmp_path):
    made = merge_request(tmp_path)
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()

        ended = await world.run(model, TRACEPARENT=f"00-{trace}-b7ad6b7169203331-01")

    assert [line["tool"] for line in ended.said("tool used")] == [
        "git_diff",
        "view",
        "grep",
        "submit_review",
    ]
    told = [*ended.said("session started"), *ended.said("review submitted")]
    assert [line["trace_id"] for line in told] == [trace, trace]


async def test_the_model_is_asked_through_the_operator_s_proxy_and_the_task_door_is_not(tmp_path):
    made = merge_request(tmp_path)
    async with (
        running_task_door(made.spec) as door,
        scripted_model(api_key=MODEL_KEY) as proxy,
    ):
        world = await World(tmp_path / "work", made, door).cloned()
        address = proxy.url.removesuffix("/v1")

        done = await ended(
            await world.start(
                "run",
                COPILOT_PROVIDER_TYPE="openai",
                COPILOT_PROVIDER_BASE_URL="http://model.invalid/v1",
                COPILOT_PROVIDER_API_KEY=MODEL_KEY,
                COPILOT_MODEL="scripted",
                HTTP_PROXY=address,
                HTTPS_PROXY=address,
            )
        )

    assert done.code == 0, done.stderr
    assert [type(result) for result in door.results] == [ReviewDone]
    assert len(proxy.offered) == 1
