"""The scripted engineer: from one request of a coding session to its next step. Pure.

Called by the script's modes when `submit_change` is offered. As the reviewer, it keeps no memory:
where it stands it sees from the calls that were answered. It knows three kinds of work, by the
instruction: "rename a to b", "… test …" for a Python file, and anything else, which becomes a line
in NOTES.md.

What the real CLI (1.0.102) takes, as tried: `create {path, file_text}` needs the folder to be there
and refuses a file that exists; `edit {path, old_str, new_str}` wants text that is there exactly
once; both take paths relative to the working directory. `bash {command, description}` answers with
the output and `<shellId: 0 completed with exit code 0>`; with `mode: "async"` it goes on in the
background until `stop_bash {shellId}`. `glob {pattern}` answers with lines such as `./shop/a.py`.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from tests.simulators.model.chat import Chat, Step
from tests.simulators.model.mending import refused
from tests.simulators.model.replies import Call, Say

NOTES = "NOTES.md"
MOST_ATTEMPTS = 4
DONE = "The change is handed in."
_RENAME = re.compile(r"\brename\s+`?(\w+)`?\s+(?:to|into|as)\s+`?(\w+)`?", re.IGNORECASE)
_TEST = re.compile(r"\btests?\b", re.IGNORECASE)
_CHANGED = re.compile(r"^(?:modified|added) (\S+\.py) \+", re.MULTILINE)
_FUNCTION = re.compile(r"^(?:\d+[.\t ]+)?(?:async )?def ([a-z]\w*)\(", re.MULTILINE)
_LISTED = re.compile(r"^(?:[MADR?]{1,2}\s+)?(?:\./)?([\w./-]+)$", re.MULTILINE)


def data(chat: Chat, name: str) -> str:
    """The text of people that the prompt marks with this name."""
    found = re.search(
        rf"<<<\S+ {name}: data, not instructions>>>\n(.*?)\n<<<\S+ end of {name}>>>",
        chat.prompt,
        re.DOTALL,
    )
    return found[1].strip() if found else ""


def coding_turn(chat: Chat) -> Say:
    """Give the next step of an honest engineer."""
    instruction = data(chat, "instruction")
    if not chat.called("glob"):
        return Say("I will look at the repository first.", (Call("glob", {"pattern": "**/*"}),))
    files = _files(chat)
    renamed = _RENAME.search(instruction)
    if renamed and "bash" in chat.tools:
        return _rename(chat, renamed[1], renamed[2])
    source = _source(chat, files)
    if source and _TEST.search(instruction):
        return _add_test(chat, source)
    return _note(chat, instruction, files)


def submit(chat: Chat, arguments: dict[str, Any]) -> Say:
    """Hand in; what is refused goes without the files that the answer names, in the end nothing."""
    attempts = chat.called("submit_change")
    if not attempts:
        return Say(None, (Call("submit_change", arguments),))
    last = attempts[-1]
    if not _was_refused(last):
        return Say(DONE)
    if len(attempts) >= MOST_ATTEMPTS:
        return Say("The result tool refused every form of this change; I stop here.")
    named = [str(file) for file in last.arguments.get("files") or []]
    kept = [file for file in named if f"- {file}:" not in (last.answer or "")]
    if kept and kept != named:
        return Say(None, (Call("submit_change", {**last.arguments, "files": kept}),))
    nothing = {"summary": arguments["summary"], "nothing_to_do": True}
    return Say(None, (Call("submit_change", nothing),))


def change(subject: str, summary: str, *files: str) -> dict[str, Any]:
    return {"subject": subject, "summary": summary, "files": list(files)}


def run(command: str) -> Call:
    return Call("bash", {"command": command, "description": "Work on the change"})


def answers(chat: Chat, *names: str) -> str:
    """All that these tools answered."""
    return "\n".join(step.answer or "" for step in chat.steps if step.name in names)


def _rename(chat: Chat, old: str, new: str) -> Say:
    steps = chat.called("bash")
    if not steps:
        word = shlex.quote(rf"\b{old}\b")
        edit = shlex.quote(rf"s/\b{old}\b/{new}/g")
        find = f"grep -rlIP --exclude-dir=.git -- {word} . | sort"
        return Say(None, (run(f"{find}; {find} | xargs -r sed -i {edit}"),))
    files = _LISTED.findall(_output(steps[-1]))
    summary = f"Renamed `{old}` to `{new}` in {len(files)} files; nothing else changed."
    if not files:
        none = f"There is no `{old}` in this repository, so there is nothing to rename."
        return submit(chat, {"summary": none, "nothing_to_do": True})
    return submit(chat, change(f"Rename {old} to {new}"[:72], summary, *files))


def _add_test(chat: Chat, source: str) -> Say:
    if not chat.called("view"):
        return Say(None, (Call("view", {"path": source}),))
    name = next(iter(_FUNCTION.findall(answers(chat, "view"))), None)
    module = source.removesuffix(".py").replace("/", ".")
    path = f"test_{module.rpartition('.')[2]}.py"
    path = f"{source.rpartition('/')[0]}/{path}".removeprefix("/")
    if not chat.called("create"):
        target = f"{name}" if name else module.rpartition(".")[2]
        body = f'"""Tests of `{source}`."""\n\nimport importlib\n\n\n'
        body += (
            f"def test_{target}_is_there():\n    module = importlib.import_module({module!r})\n\n"
        )
        body += f"    assert callable(module.{name})\n" if name else "    assert module\n"
        return Say(None, (Call("create", {"path": path, "file_text": body}),))
    if not chat.called("bash") and "bash" in chat.tools:
        return Say(None, (run(f"python3 -m py_compile {shlex.quote(path)}; git status --short"),))
    what = f"`{name}` of `{source}`" if name else f"`{source}`"
    summary = f"Added a first test for {what} in `{path}`, and compiled it here."
    return submit(chat, change(f"Test {name or source}"[:72], summary, path))


def _note(chat: Chat, instruction: str, files: list[str]) -> Say:
    line = " ".join(instruction.split())[:200] or "Nothing was asked for."
    if NOTES not in files:
        if not chat.called("create"):
            text = f"# Notes\n\n- {line}\n"
            return Say(None, (Call("create", {"path": NOTES, "file_text": text}),))
    elif not chat.called("view"):
        return Say(None, (Call("view", {"path": NOTES}),))
    elif not chat.called("edit"):
        first = answers(chat, "view").split("\n", 1)[0]
        first = re.sub(r"^\d+[.\t] ?", "", first)
        new = f"{first}\n\n- {line}"
        return Say(None, (Call("edit", {"path": NOTES, "old_str": first, "new_str": new}),))
    if not chat.called("bash") and "bash" in chat.tools:
        return Say(None, (run("git status --short"),))
    summary = f"Wrote down what was asked for in `{NOTES}`. No code is changed."
    return submit(chat, change("Note what was asked for", summary, NOTES))


def _files(chat: Chat) -> list[str]:
    return _LISTED.findall(chat.called("glob")[0].answer or "")


def _source(chat: Chat, files: list[str]) -> str | None:
    """A Python file: one that the merge request changes, else the first of the repository."""
    candidates = [*_CHANGED.findall(chat.prompt), *files]
    plain = [path for path in candidates if path.endswith(".py") and "test" not in path]
    return next((path for path in plain if path in files), None)


def _output(step: Step) -> str:
    return re.sub(r"<shellId:.*", "", step.answer or "", flags=re.DOTALL)


def _was_refused(step: Step) -> bool:
    said = step.answer or ""
    return not said.startswith(("Recorded", "The change was")) and refused(said)
