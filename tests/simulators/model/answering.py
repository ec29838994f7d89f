"""The scripted answerer of questions: looks, then names a real file and line. Pure.

Called by the script's modes when `submit_answer` is offered.
"""

from __future__ import annotations

import re

from tests.simulators.model.chat import Chat
from tests.simulators.model.coder import data
from tests.simulators.model.diff import FileChange
from tests.simulators.model.replies import Call, Say
from tests.simulators.model.script import look_at_change

DONE = "The answer is handed in."
_WORD = re.compile(r"[A-Za-z_]{4,}")
_PATH = re.compile(r"^(?:\./)?([\w./-]+\.\w+)$", re.MULTILINE)


def answering_turn(chat: Chat) -> Say:
    """Give the next step of an honest answerer."""
    if look := look_at_change(chat):
        return look
    question = " ".join(data(chat, "question").split())
    place = _place(chat.diff, question)
    if place is None:
        if not chat.called("glob"):
            return Say(None, (Call("glob", {"pattern": "**/*"}),))
        files = _PATH.findall(chat.called("glob")[0].answer or "")
        return _submit(chat, question, f"{files[0]}:1" if files else "the repository", "")
    path, line, text = place
    if not chat.called("view"):
        view_range = [max(1, line - 5), line + 5]
        return Say(None, (Call("view", {"path": path, "view_range": view_range}),))
    return _submit(chat, question, f"{path}:{line}", text)


def _submit(chat: Chat, question: str, where: str, text: str) -> Say:
    if chat.called("submit_answer"):
        return Say(DONE)
    shown = f", which says `{text.strip().replace('`', '')}`" if text.strip() else ""
    answer = f"Look at `{where}`{shown}.\n\nAsked was: {question[:300] or 'nothing'}"
    return Say(None, (Call("submit_answer", {"answer": answer}),))


def _place(files: tuple[FileChange, ...], question: str) -> tuple[str, int, str] | None:
    """The added line that shares most words with the question, the first one in doubt."""
    words = {word.lower() for word in _WORD.findall(question)}
    lines = [
        (len(words & {word.lower() for word in _WORD.findall(line.text)}), file.path, line)
        for file in files
        for hunk in file.hunks
        for line in hunk
        if line.sign == "+" and line.new is not None and line.text.strip()
    ]
    if not lines:
        return None
    _, path, line = max(lines, key=lambda found: found[0])
    return path, line.new or 1, line.text
