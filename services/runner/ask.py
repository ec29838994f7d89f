"""The session of a question: the tools of a review, an answer as its end. Called by `run`."""

from __future__ import annotations

import secrets

import structlog
from copilot import Tool

from libs.common.diff import Diff
from libs.common.events.tasks import Answered, TaskFailed
from services.runner import ask_prompt, fallback, gathering, prompt, submission
from services.runner.desk import HOPELESS, Answer
from services.runner.permissions import Walls
from services.runner.run import Task, failed, forget, hold, make_home
from services.runner.scope import Scope
from services.runner.session import SessionFailed, SessionOrder
from services.runner.submission import SubmittedAnswer
from services.runner.tools import Arguments, GitTools, submit_tool

log = structlog.get_logger()
LONGEST_ANSWER = 20_000
REFUSALS = 2
CUT = "\n\n… [cut]"


class AnswerDesk:
    """Takes one answer; one that is too long is refused twice, then cut."""

    def __init__(self) -> None:
        self._tries = 0
        self._refusals = 0
        self.best = ""
        self.accepted = False

    @property
    def hopeless(self) -> bool:
        return not self.accepted and self._tries >= HOPELESS

    def submit(self, arguments: object) -> Answer:
        if self.accepted:
            return Answer(accepted=True, text="The answer was submitted already.")
        self._tries += 1
        given = submission.parsed(SubmittedAnswer, arguments)
        if isinstance(given, list):
            problems = "\n".join(f"- {problem}" for problem in given)
            return _refusal(f"The arguments do not fit.\n{problems}")
        text = given.answer.strip()
        if not text:
            return _refusal("answer: is empty")
        self.best = bounded(text)
        if len(text) > LONGEST_ANSWER and self._refusals < REFUSALS:
            self._refusals += 1
            return _refusal(f"answer: has {len(text)} characters, {LONGEST_ANSWER} is the most")
        self.accepted = True
        return Answer(accepted=True, text="Recorded.")


async def ask(task: Task) -> Answered | TaskFailed:
    """The answer to this task's question."""
    diff, scope = await gathering.changes(task.contract.repository, task.spec)
    desk = AnswerDesk()
    try:
        await hold(task, await _order(task, diff, scope, desk))
    except SessionFailed:
        if not desk.best:
            raise
        log.warning("session failed after an answer was submitted; it is kept")
    finally:
        await forget(task)
    answer = desk.best or from_words(task.heard.text)
    if not answer:
        return failed(task, "no_result", "the model ended without an answer")
    return Answered(
        task_id=task.spec.task_id,
        head_sha=task.spec.head_sha,
        answer=answer,
        usage=task.heard.usage,
        stages=task.heard.stages,
    )


def from_words(text: str) -> str:
    """What a model without tools said: its JSON's answer, else all of it."""
    text = str(submission.encodable(text)).strip()
    for value in fallback.objects(text):
        if isinstance(value, dict) and isinstance(value.get("answer"), str) and value["answer"]:
            return bounded(str(submission.encodable(value["answer"])))
    return bounded(text)


def bounded(text: str) -> str:
    return text if len(text) <= LONGEST_ANSWER else text[: LONGEST_ANSWER - len(CUT)] + CUT


async def _order(task: Task, diff: Diff, scope: Scope, desk: AnswerDesk) -> SessionOrder:
    paths = [file.path for file in scope.reviewed]
    documents = await gathering.target_documents(task.clone, paths)
    mark = f"DATA-{secrets.token_hex(6)}"
    context = prompt.Context(clone=task.clone, folder=task.context, mark=mark)
    files = prompt.context_files(task.spec, scope, documents, context)
    await gathering.write_files(task.context, files)
    await make_home(task)
    reading = GitTools(folder=task.clone, refs=task.spec.diff_refs, diff=diff)
    return SessionOrder(
        cli=task.ports.cli,
        environment=task.environment(),
        provider=task.ports.provider,
        folder=task.clone,
        walls=Walls.around(task.clone, task.context, kind="ask"),
        tools=[*reading.all(), _submit_tool(desk, task)],
        system=prompt.system_message(ask_prompt.ROLE, documents, context),
        prompt=ask_prompt.user_message(task.spec, scope, context),
        timeout=0.0,
    )


def _submit_tool(desk: AnswerDesk, task: Task) -> Tool:
    async def submit(arguments: Arguments) -> Answer:
        answer = desk.submit(arguments)
        if desk.hopeless:
            task.heard.gave_up.set()
        return answer

    return submit_tool(
        "submit_answer",
        f"Hand in the answer, once; at most {LONGEST_ANSWER} characters of Markdown.",
        submission.schema(SubmittedAnswer),
        submit,
    )


def _refusal(text: str) -> Answer:
    return Answer(accepted=False, text=f"{text}\nMend this and call submit_answer again.")
