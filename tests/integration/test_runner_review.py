"""A whole review: real CLI, real git, a scripted model, a task door that keeps what it gets."""

from __future__ import annotations

import pytest

from libs.common.events.tasks import ReviewDone
from tests.fakes.task_door import running_task_door
from tests.integration.runner_world import AFTER, World, merge_request
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
