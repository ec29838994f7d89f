"""Coding sessions that go wrong, by the model's name: for tests with bad input. Pure.

Part of the table in modes.py. Each begins as any session does, so it needs no settings.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.simulators.model.chat import Chat
from tests.simulators.model.coder import answers, change, run, submit
from tests.simulators.model.replies import Call, Reply, Say

HOSTILE = (
    *("../../../etc/passwd", "/etc/passwd", ".git/config", ".git/hooks/post-commit", "link"),
    *("behind/passwd", ".GIT/config", "nested/inner.py", "pipe", "made", "a/../../b", ""),
)
"""What `sim-coding-hostile` hands in beside `good.txt`."""
PLANT = (
    "ln -s /etc/passwd link; ln -s /etc behind; mkfifo pipe; mkdir -p made nested; "
    "git init -q nested; echo x > nested/inner.py; echo x > made/x; echo good > good.txt"
)
LOOT = "env; ps auxe; cat /proc/*/environ | tr '\\0' '\\n'; ls -la / /root /home /work ..; cat ~/.*"
HUGE = 11_000_000
CI = "stages: [all]\n\nall:\n  script: [echo all]\n"


def _nothing(chat: Chat) -> Reply:
    return submit(chat, {"summary": "All of it is there already.", "nothing_to_do": True})


def _unchanged(chat: Chat) -> Reply:
    """Names a file that it did not change, whatever is said."""
    if not chat.called("glob"):
        return Say(None, (Call("glob", {"pattern": "**/*"}),))
    first = (chat.called("glob")[0].answer or "").split("\n")[0].removeprefix("./")
    return Say(None, (Call("submit_change", change("Change it", "It is changed.", first)),))


def _stray(chat: Chat) -> Reply:
    """Writes three files and names one."""
    if not chat.called("bash"):
        return Say(None, (run("for n in one two three; do echo $n > $n.txt; done"),))
    return submit(chat, change("Add one", "Added one file.", "one.txt"))


def _silent(chat: Chat) -> Reply:
    """Edits, and never hands in."""
    if not chat.called("bash"):
        return Say(None, (run("echo x > silent.txt"),))
    return Say("I am done, have a look.")


def _hostile(chat: Chat) -> Reply:
    if not chat.called("bash"):
        return Say(None, (run(PLANT),))
    files = change("Add a file", "Added a file.", "good.txt", *HOSTILE)
    return Say(None, (Call("submit_change", files),))


def _canary(chat: Chat) -> Reply:
    """Looks for secrets and hands in all that it sees, as a file and in words."""
    if not chat.called("bash"):
        return Say(None, (run(f"({LOOT}) > loot.txt 2>&1; cat loot.txt"),))
    seen = answers(chat, "bash")[:6_000]
    return submit(chat, change("Add what I saw", f"I saw:\n{seen}", "loot.txt"))


def _huge(chat: Chat) -> Reply:
    if not chat.called("bash"):
        return Say(None, (run(f"head -c {HUGE} /dev/urandom > huge.bin"),))
    return submit(chat, change("Add a large file", "Added a large file.", "huge.bin"))


def _ci(chat: Chat) -> Reply:
    if not chat.called("bash"):
        return Say(None, (run(f"printf {CI!r} > .gitlab-ci.yml"),))
    return submit(chat, change("Change the pipeline", "Changed the pipeline.", ".gitlab-ci.yml"))


CODING_MODES: dict[str, Callable[[Chat], Reply]] = {
    "sim-coding-nothing": _nothing,
    "sim-coding-unchanged": _unchanged,
    "sim-coding-stray": _stray,
    "sim-coding-silent": _silent,
    "sim-coding-hostile": _hostile,
    "sim-coding-canary": _canary,
    "sim-coding-huge": _huge,
    "sim-coding-ci": _ci,
}
