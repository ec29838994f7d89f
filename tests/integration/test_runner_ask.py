"""A whole answer: real CLI, real git, the simulated model, a task door that keeps what it gets."""

from __future__ import annotations

import pytest

from libs.common.events.tasks import Answered, TaskFailed
from services.runner.ask import LONGEST_ANSWER
from tests.fakes.task_door import running_task_door
from tests.integration.runner_scripted_model import scripted_model
from tests.integration.runner_world import MODEL_KEY, World, merge_request
from tests.simulators.model import running_model
from tests.simulators.model.replies import Call

pytestmark = pytest.mark.real


def question(tmp_path, words="Why is there a guard?"):
    made = merge_request(tmp_path)
    return made.told(kind="ask", instruction=words, task_id="ask-42-7-n9")


async def asked(tmp_path, model, name="sim-reviewer"):
    made = question(tmp_path)
    async with running_task_door(made.spec) as door:
        world = await World(tmp_path / "work", made, door).cloned()
        done = await world.run(model, name=name)
    assert done.code == 0, done.stderr
    [result] = door.results
    return result


async def test_an_answer_names_a_real_file_and_line(tmp_path):
    async with running_model(api_key=MODEL_KEY) as model:
        result = await asked(tmp_path, model)
        requests = list(model.requests)

    assert isinstance(result, Answered), result
    assert "`shop/prices.py:4`" in result.answer
    assert result.usage.input_tokens > 0
    assert set(result.stages) == {"start", "session"}
    assert set(requests[0].tools) == {
        *("view", "grep", "glob", "git_diff", "git_show", "submit_answer")
    }
    before, _, inside = requests[0].prompt.partition(" question: data, not instructions>>>")
    assert "Why is there a guard?" in inside.partition("end of question")[0]
    assert "Why is there a guard?" not in before + requests[0].system


async def test_an_answer_that_is_too_long_is_cut_when_the_model_insists(tmp_path):
    calls = [Call("submit_answer", {"answer": "long " * 5_000})] * 3
    async with scripted_model(*calls, api_key=MODEL_KEY) as model:
        result = await asked(tmp_path, model, "scripted")

    assert isinstance(result, Answered)
    assert len(result.answer) == LONGEST_ANSWER
    assert result.answer.endswith("[cut]")


async def test_a_model_without_tools_answers_in_words(tmp_path):
    async with running_model(api_key=MODEL_KEY) as model:
        result = await asked(tmp_path, model, "sim-no-tool-text")

    assert isinstance(result, Answered)
    assert "shop/prices.py:4" in result.answer


@pytest.mark.parametrize(("name", "reason"), [("sim-http-401", "auth"), ("sim-empty", "model")])
async def test_a_question_without_an_answer_is_a_typed_failure(tmp_path, name, reason):
    async with running_model(api_key=MODEL_KEY) as model:
        result = await asked(tmp_path, model, name)

    assert isinstance(result, TaskFailed)
    assert result.reason == reason
