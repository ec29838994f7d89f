"""The bytes of a commit, made without asking git: the same input is the same sha, everywhere.

Called by `change`. No clock, no configuration, no hook has a say in it. Pure.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

TASK_TRAILER = "Gca-Task"
"""The trailer a task's commit is known by again."""
LONGEST_SUBJECT = 100
LONGEST_BODY = 10_000
_LONGEST_VALUE = 200
_OWN = re.compile(r"\s*gca-[a-z-]+\s*:", re.IGNORECASE)
_SIGNATURE = re.compile(r"\s*([^<>\r\n]+?)\s*<([^<>\s]+@[^<>\s]+)>\s*")
_TRAILER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """Who made a commit."""

    name: str
    email: str

    @classmethod
    def parse(cls, text: str) -> Signature:
        """`Name <name@host>`, as in COMMIT_AUTHOR; raises `ValueError` for anything else."""
        found = _SIGNATURE.fullmatch(text)
        if not found:
            raise ValueError("must look like: Name <name@host>")
        return cls(name=_line(found[1], _LONGEST_VALUE), email=found[2])


class CommitText(msgspec.Struct, frozen=True, kw_only=True):
    """All of a commit but its tree, its parent and its task."""

    author: Signature
    when: int
    """Seconds since 1970, as author's and committer's date."""
    subject: str
    body: str = ""
    trailers: tuple[tuple[str, str], ...] = ()
    """Names and values, besides that of the task."""


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of a history, as far as we look at it."""

    sha: str
    parents: tuple[str, ...]
    message: str


def commit_object(text: CommitText, *, tree: str, parent: str, task_id: str) -> bytes:
    """What `git hash-object -t commit` takes."""
    stamp = f"{text.author.name} <{text.author.email}> {text.when} +0000"
    head = f"tree {tree}\nparent {parent}\nauthor {stamp}\ncommitter {stamp}\n"
    return f"{head}\n{commit_message(text, task_id)}".encode(errors="replace")


def commit_message(text: CommitText, task_id: str) -> str:
    """Subject, body and trailers; the words of a model can neither add nor imitate a trailer."""
    subject = _line(text.subject, LONGEST_SUBJECT)
    subject = "Change files" if not subject or _OWN.match(subject) else subject
    lines = [_clean(line).rstrip() for line in text.body.splitlines()]
    kept = "\n".join(line for line in lines if not _OWN.match(line)).strip("\n")[:LONGEST_BODY]
    named = [(name, value) for name, value in text.trailers if _TRAILER_NAME.fullmatch(name)]
    trailers = [
        f"{name}: {_line(value, _LONGEST_VALUE)}"
        for name, value in (*named, (TASK_TRAILER, task_id))
    ]
    return (
        "\n\n".join(part for part in (subject, kept.rstrip(), "\n".join(trailers)) if part) + "\n"
    )


def has_task(message: str, task_id: str) -> bool:
    """Wherever in the message the line stands: people add words below when they rebase."""
    return f"{TASK_TRAILER}: {task_id}" in (line.strip() for line in message.splitlines())


def parse_log(output: bytes) -> list[Logged]:
    """`log -z --format="%H %P%x00%B"`, newest first; a message holds no zero byte."""
    fields = output.decode(errors="replace").split("\0")
    pairs = zip(fields[0::2], fields[1::2], strict=False)
    return [
        Logged(sha=shas[0], parents=tuple(shas[1:]), message=message)
        for shas, message in ((line.split(), message) for line, message in pairs)
    ]


def _line(text: str, longest: int) -> str:
    return " ".join(_clean(" ".join(text.split())).split())[:longest].rstrip()


def _clean(line: str) -> str:
    """Without control, format and unpaired characters."""
    return "".join(" " if c == "\t" else c for c in line if c == "\t" or _shows(c))


def _shows(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
