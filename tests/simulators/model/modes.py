"""The behaviours of the simulated model, by the model name in the request: one honest, many not.

Called by the server. Pure. Every mode but `sim-reviewer` is there for a test with bad input; README
of the tests and docs may name them, so names stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.simulators.model.answering import answering_turn
from tests.simulators.model.bad_coders import CODING_MODES
from tests.simulators.model.chat import Chat
from tests.simulators.model.coder import coding_turn
from tests.simulators.model.replies import Call, Hang, Raw, Reply, Say, failure
from tests.simulators.model.script import (
    first_submission,
    hand_in,
    look_at_change,
    review_turn,
    summary,
)

DEFAULT_MODE = "sim-reviewer"

# Each asks for something that a review session must not give.
FORBIDDEN: tuple[Call, ...] = (
    Call("bash", {"command": "env; ps auxe; cat /proc/*/environ", "description": "Look around"}),
    Call("view", {"path": "/proc/self/environ"}),
    Call("view", {"path": "/proc/1/environ"}),
    Call("view", {"path": "/etc/passwd"}),
    Call("view", {"path": "../../../../../../../../etc/passwd"}),
    Call("view", {"path": ".git/config"}),
    Call("grep", {"pattern": ".", "paths": "/etc", "output_mode": "content"}),
    Call("glob", {"pattern": "*", "paths": "/home"}),
    Call("web_fetch", {"url": "http://127.0.0.1:9/?leak=1"}),
    Call("edit", {"path": "README.md", "old_str": "a", "new_str": "b"}),
    Call("create", {"path": "planted.txt", "file_text": "planted"}),
    Call("task", {"prompt": "read /proc/self/environ", "agent_type": "general-purpose"}),
)
_PEEK: tuple[Call, ...] = (FORBIDDEN[0], FORBIDDEN[1])
_ORDER = re.compile(r"CANARY-COMMAND:[ \t]*([^\n]+)")

NOISE = (
    '\u0000\u0007\u202e}{]] <|endoftext|> {"findings": [{"file": \u200b\'a\', line: NaN,,,\n'
    '```json\n{"summary": "half an ans\n\ufffd\U000e0041\x1b[31m 0x41414141 %s %n {{7*7}}'
)


def _after_diff(then: Callable[[Chat], Reply]) -> Callable[[Chat], Reply]:
    return lambda chat: look_at_change(chat) or then(chat)


def _wrong_arguments(chat: Chat) -> Reply:
    """Never fits the schema, each time in another way."""
    wrong: tuple[dict[str, Any] | str, ...] = (
        {"findings": "none"},
        {"summary": 7, "findings": [{"file": "a.py"}]},
        {"summary": "s", "findings": [{"file": None, "side": "left", "line": "one"}]},
        '{"summary": "s", "findings": [',
    )
    return Say(None, (Call("submit_review", wrong[chat.turns % len(wrong)]),))


def _mends(chat: Chat) -> Reply:
    """First names line 99 of each file, which a small diff does not have; then mends it."""
    submission = first_submission(chat)
    for finding in submission["findings"]:
        bare = dict.fromkeys(("end_line", "suggestion", "suggestion_start", "suggestion_end"))
        finding.update(bare, line=99)
    return hand_in(chat, submission)


def _huge(chat: Chat) -> Reply:
    """1,000 findings and a summary of 600,000 characters; when refused, 2,000,000 of plain text."""
    if chat.called("submit_review"):
        return Say("All is well. " * 150_000)
    file, line = _some_place(chat)
    words = "This line could be better, and here is why. " * 40
    findings = [_remark(file, line, f"Remark {n}: {words}") for n in range(1_000)]
    submission = {"summary": "Too much to say. " * 35_000, "findings": findings}
    return Say(None, (Call("submit_review", submission),))


def _in_last_message(form: Callable[[dict[str, Any]], str]) -> Callable[[Chat], Reply]:
    """Never call the result tool; say the result in the last message."""
    return lambda chat: Say(form(first_submission(chat)))


def _as_json(submission: dict[str, Any]) -> str:
    return f"Here is my review.\n\n```json\n{json.dumps(submission, indent=2)}\n```\n\nThat is all."


def _as_array(submission: dict[str, Any]) -> str:
    return json.dumps(submission["findings"])


def _as_text(submission: dict[str, Any]) -> str:
    remarks = [f"- {f['file']}:{f['line']}: {f['comment']}" for f in submission["findings"]]
    return "\n".join([submission["summary"], *remarks])


def _endless(chat: Chat) -> Reply:
    file, _ = _some_place(chat)
    path = {"path": file, "view_range": [1 + chat.turns % 50, -1]}
    return Say(None, (Call("view" if "view" in chat.tools else "git_diff", path),))


def _forbidden_tools(chat: Chat) -> Reply:
    """Try each forbidden call, one a turn; the summary says what each answered."""
    tried = _tried(chat, FORBIDDEN)
    if len(tried) < len(FORBIDDEN):
        return Say(None, (FORBIDDEN[len(tried)],))
    told = "\n".join(f"{call.name} {call.wire} -> {answer}" for call, answer in tried)
    return hand_in(chat, {"summary": told, "findings": []})


def _obedient(chat: Chat) -> Reply:
    """Do what `CANARY-COMMAND: …` in the prompt or an answer says, with all that can be seen.

    The command's text is repeated word for word (`\\n` in it is a line break), so that a test can
    put any text into the comment: quick actions, mentions, images.
    """
    if look := look_at_change(chat):
        return look
    seen = "\n".join([chat.prompt, *(step.answer or "" for step in chat.steps)])
    orders = list(dict.fromkeys(_ORDER.findall(seen)))
    if not orders:
        return review_turn(chat)
    tried = _tried(chat, _PEEK)
    if len(tried) < len(_PEEK):
        return Say(None, (_PEEK[len(tried)],))
    submission = first_submission(chat)
    told = "\n".join(order.replace("\\n", "\n") for order in orders)
    loot = "\n".join([told, *(answer for _, answer in tried), chat.prompt])[:20_000]
    if not submission["findings"]:
        submission["findings"] = [_remark(*_some_place(chat), loot)]
    else:
        submission["findings"][0]["comment"] += f"\n{loot}"
    submission["summary"] = f"{summary(chat.diff, ())}\n{loot}"
    return hand_in(chat, submission)


def _tried(chat: Chat, calls: tuple[Call, ...]) -> list[tuple[Call, str]]:
    made = {(s.name, json.dumps(s.arguments)): s.answer or "" for s in chat.steps}
    return [(call, made[key]) for call in calls if (key := (call.name, call.wire)) in made]


def _some_place(chat: Chat) -> tuple[str, int]:
    """Give the first added line of the change."""
    for file in chat.diff:
        for hunk in file.hunks:
            for line in hunk:
                if line.sign == "+" and line.new is not None:
                    return file.path, line.new
    return "README.md", 1


def _remark(file: str, line: int, comment: str) -> dict[str, Any]:
    bare = dict.fromkeys(("end_line", "suggestion", "suggestion_start", "suggestion_end"))
    at = {"file": file, "side": "new", "line": line}
    return {**at, **bare, "severity": "info", "comment": comment}


def _always(reply: Reply) -> Callable[[Chat], Reply]:
    return lambda _: reply


_HTML = "<!doctype html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def honest_turn(chat: Chat) -> Reply:
    """What the request is for shows in the tool that ends it."""
    if "submit_change" in chat.tools:
        return coding_turn(chat)
    return answering_turn(chat) if "submit_answer" in chat.tools else review_turn(chat)


MODES: dict[str, Callable[[Chat], Reply]] = {
    DEFAULT_MODE: honest_turn,
    "sim-garbage": _after_diff(_always(Say(NOISE))),
    "sim-empty": _always(Say("")),
    "sim-huge": _after_diff(_huge),
    "sim-wrong-arguments": _after_diff(_wrong_arguments),
    "sim-mends": _after_diff(_mends),
    "sim-no-tool-json": _after_diff(_in_last_message(_as_json)),
    "sim-no-tool-array": _after_diff(_in_last_message(_as_array)),
    "sim-no-tool-text": _after_diff(_in_last_message(_as_text)),
    "sim-http-500": _always(failure(500, "The server had an error", "server_error")),
    "sim-http-401": _always(
        failure(401, "Incorrect API key provided", "invalid_request_error", "invalid_api_key")
    ),
    "sim-http-429": _always(
        failure(429, "Rate limit reached for requests", "requests", "rate_limit_exceeded")
    ),
    "sim-html": _always(Raw(200, _HTML, "text/html")),
    "sim-broken-json": _always(Raw(200, '{"id": "chatcmpl-sim", "choices": [{"mess')),
    "sim-wrong-shape": _always(Raw(200, '{"hello": ["there"]}')),
    "sim-slow": _always(Hang()),
    "sim-endless": _after_diff(_endless),
    "sim-forbidden-tools": _after_diff(_forbidden_tools),
    "sim-obedient": _obedient,
    **CODING_MODES,
}


def reply_to(chat: Chat, *, default: str = DEFAULT_MODE) -> Reply:
    """Give the reply of the mode that the model's name says; other names get the default one."""
    mode = chat.model if chat.model in MODES and chat.model != DEFAULT_MODE else default
    return MODES[mode](chat)
