"""Every way in which a model can be bad ends in a review or in a typed failure, in time."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.events.tasks import Limits, ReviewDone, TaskFailed
from tests.fakes.task_door import running_task_door
from tests.integration.runner_world import World, merge_request
from tests.simulators.model import running_model

pytestmark = pytest.mark.real


async def outcome(tmp_path, name, *, seconds=60):
    made = merge_request(tmp_path)
    made = made.told(limits=msgspec.structs.replace(Limits(), timeout=seconds))
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()
        ended = await world.run(model, name=name)
    assert ended.code == 0, ended.stderr
    [result] = door.results
    assert not (tmp_path / "work" / "home").exists()
    return result


async def test_a_model_that_names_wrong_lines_mends_its_review(tmp_path):
    result = await outcome(tmp_path, "sim-mends")

    assert isinstance(result, ReviewDone)
    assert result.findings
    assert all(finding.position for finding in result.findings)


@pytest.mark.parametrize("name", ["sim-no-tool-json", "sim-no-tool-array"])
async def test_a_review_as_json_in_the_last_message_is_taken(tmp_path, name):
    result = await outcome(tmp_path, name)

    assert isinstance(result, ReviewDone)
    assert [(finding.line, finding.end_line) for finding in result.findings] == [(4, 4), (9, 10)]
    assert all(finding.position for finding in result.findings)


@pytest.mark.parametrize("name", ["sim-no-tool-text", "sim-garbage"])
async def test_plain_words_become_the_summary(tmp_path, name):
    result = await outcome(tmp_path, name)

    assert isinstance(result, ReviewDone)
    assert result.findings == ()
    assert result.summary


async def test_a_huge_review_is_bounded(tmp_path):
    result = await outcome(tmp_path, "sim-huge")

    assert isinstance(result, ReviewDone)
    assert len(result.findings) <= 200
    assert len(msgspec.json.encode(result)) < 512 * 1024


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        ("sim-http-401", "auth", "COPILOT_PROVIDER_API_KEY"),
        ("sim-http-429", "model", "429"),
        ("sim-http-500", "model", "500"),
        ("sim-html", "model", "JSON"),
        ("sim-broken-json", "model", "JSON"),
        ("sim-wrong-shape", "model", "No response"),
        ("sim-empty", "model", "No response"),
    ],
)
async def test_a_provider_that_fails_is_a_typed_failure(tmp_path, name, reason, said):
    result = await outcome(tmp_path, name)

    assert isinstance(result, TaskFailed)
    assert result.reason == reason
    assert said in result.detail


@pytest.mark.parametrize("name", ["sim-slow", "sim-endless"])
async def test_a_model_that_never_ends_is_ended_in_the_task_s_time(tmp_path, name):
    result = await outcome(tmp_path, name, seconds=8)

    assert isinstance(result, TaskFailed)
    assert result.reason == "timeout"


async def test_a_model_that_never_mends_its_arguments_is_given_up(tmp_path):
    result = await outcome(tmp_path, "sim-wrong-arguments")

    assert isinstance(result, TaskFailed)
    assert result.reason == "no_result"


async def test_a_model_that_is_not_there_is_a_typed_failure(tmp_path):
    made = merge_request(tmp_path)
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()

        ended = await world.run(model, COPILOT_PROVIDER_BASE_URL="http://127.0.0.1:9/v1")

    assert ended.code == 0
    [result] = door.results
    assert isinstance(result, TaskFailed)
    assert result.reason == "model"
