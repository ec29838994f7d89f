"""What a note asks for: pure. Called by ingest (is it one?), the reviewer and the coder (which?).

A command is a note that begins with `/copilot `, or one that mentions the agent's user name as a
word. Help and answers never quote it, so that no reply starts the next round (lessons, bot loops).
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

CommandName = Literal["help", "review", "ask", "code"]
_SLASH = re.compile(r"\s*/copilot(?:[ \t\r\n]+|$)", re.IGNORECASE)
_WORD = re.compile(r"(help|review|ask)\b[ \t]*[:,]?\s*", re.IGNORECASE)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked; `instruction` is the person's text, untrusted: a question or a task."""

    name: CommandName
    instruction: str = ""


def command(text: str, username: str) -> Command | None:
    """The command of a note, or None; `username` is the agent's, empty when it is not known."""
    asked = _asked(text, username)
    if asked is None:
        return None
    word = _WORD.match(asked)
    if word is None:
        return Command(name="code", instruction=asked) if asked else Command(name="help")
    name, rest = word[1].lower(), asked[word.end() :].strip()
    if name == "ask":
        return Command(name="ask", instruction=rest) if rest else Command(name="help")
    if rest:
        # "review the tests and mend them" is an instruction, not the command of that name.
        return Command(name="code", instruction=asked)
    return Command(name="help" if name == "help" else "review")


def _asked(text: str, username: str) -> str | None:
    """What is left of the note without its call of the agent; None when it does not call it."""
    slash = _SLASH.match(text)
    if slash is not None:
        return text[slash.end() :].strip()
    if not username:
        return None
    mention = re.compile(rf"(?<![\w@/.-])@{re.escape(username)}(?![\w-]|\.\w)[:,]?", re.IGNORECASE)
    called = mention.search(_without_code(text))
    if called is None:
        return None
    return " ".join([text[: called.start()].strip(), text[called.end() :].strip()]).strip()


def _without_code(text: str) -> str:
    """The text with code and quoted lines blanked out: to quote a call is not to call.

    Same length, so that places in it are places in the text.
    """
    blank = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|^[ \t]*>[^\n]*", re.DOTALL | re.MULTILINE)
    return blank.sub(lambda found: " " * len(found[0]), text)
