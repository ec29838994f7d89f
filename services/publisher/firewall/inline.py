"""One line of prose: code spans stay, everything GitLab would act on becomes plain text.

Called by `blocks`. A scanner, not a chain of substitutions: each character is looked at once, so
the result is read by GitLab as it was read here, and long hostile lines cost linear time.
Rule of the output: a backtick is either escaped or part of a code span inside one line.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from services.publisher.firewall import html_and_links as links
from services.publisher.firewall import references
from services.publisher.firewall.policy import Policy

_SPECIAL = re.compile(
    r"\\|`+|<|\[|[@#!~%&$^*]"
    r"|(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]*\\?:\\?/\\?/|(?<![A-Za-z0-9])www\.|GL-(?=\d)",
    re.IGNORECASE,
)
_PAIR = re.compile(r"\\[!-/:-@\[-`{-~]")
_OWN_MARKER = re.compile(r"<!--(?=\s*gca)", re.IGNORECASE)


def defuse_marker(code: str) -> str:
    """Code may show HTML comments, but none that looks like a marker of ours (SR-28)."""
    return _OWN_MARKER.sub("<! --", code)


def code_span(text: str) -> str:
    """`text` as inline code, whatever backticks it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


class Line:
    """Scans one line; `kinds` collects what was made harmless."""

    def __init__(self, line: str, policy: Policy, kinds: set[str], *, table: bool) -> None:
        self._line = line
        self._policy = policy
        self._kinds = kinds
        self._table = table
        self._out: list[str] = []
        self._at = 0

    def clean(self) -> str:
        self._ticks = links.Backticks(self._line)
        while match := _SPECIAL.search(self._line, self._at):
            self._put(self._line[self._at : match.start()])
            self._at = match.start()
            self._handle(match[0])
        self._put(self._line[self._at :])
        return "".join(self._out)

    def _handle(self, found: str) -> None:
        steps: dict[str, Callable[[str], None]] = {
            "\\": self._backslash,
            "`": self._backticks,
            "<": self._angle,
            "[": self._bracket,
        }
        if found[0] in steps:
            steps[found[0]](found)
        elif found[0] in references.CHARACTERS:
            self._reference(found)
        elif found.upper() == "GL-":
            self._replace(found, f"{found[:2]}\\-", "reference")
        else:
            self._address()

    def _put(self, text: str) -> None:
        if text:
            self._out.append(text)

    def _replace(self, source: str, text: str, kind: str) -> None:
        self._put(text)
        self._at += len(source)
        self._kinds.add(kind)

    def _put_code(self, code: str) -> None:
        """A code span never touches another backtick, or the two would be read as one run."""
        if self._out and self._out[-1].endswith("`"):
            self._put(" ")
        self._put(code)
        if self._line.startswith("`", self._at):
            self._put(" ")

    def _backslash(self, _found: str) -> None:
        pair = _PAIR.match(self._line, self._at)
        # A lone backslash is doubled, or it would escape what we put behind it.
        self._put("\\\\" if pair is None else pair[0])
        self._at += 1 if pair is None else 2
        if pair is not None and pair[0] == "\\[":
            self._part_contents()
        elif pair is not None and pair[0] == "\\<":
            self._part_comment()

    def _backticks(self, run: str) -> None:
        self._at += len(run)
        close = self._ticks.close(len(run), self._at)
        if close is None:
            self._put("\\`" * len(run))
            return
        code = defuse_marker(self._line[self._at : close])
        self._at = close + len(run)
        if self._table and "|" in code:  # a table splits cells before it looks for code
            self._put_apart(code.replace("\\", "\\\\").replace("`", "\\`"))
        else:
            self._put_code(f"{run}{code}{run}")

    def _put_apart(self, text: str) -> None:
        """Text whose fences are gone must not join its neighbours to a reference."""
        ends = self._at >= len(self._line) or self._line[self._at].isspace()
        self._put(" " if self._joins_last() else "")
        self._put(self._nested(text) + ("" if ends else " "))

    def _joins_last(self) -> bool:
        return bool(self._out) and not self._out[-1][-1].isspace()

    def _angle(self, _found: str) -> None:
        if autolink := links.AUTOLINK.match(self._line, self._at):
            self._at = autolink.end()
            if links.may_link(autolink[1], self._policy.allowed_hosts):
                self._put(autolink[0])
            else:
                self._kinds.add("link")
                self._put_code(code_span(autolink[1]))
        elif links.NO_TAG.match(self._line, self._at):
            self._put("<")
            self._at += 1
        else:
            self._replace("<", "\\<", "html")
            self._part_comment()

    def _part_comment(self) -> None:
        """No `<!` is left, so that nobody takes it for a marker, not even an escaped one."""
        if self._line.startswith("!", self._at):
            self._replace("!", "\\!", "html")

    def _bracket(self, _found: str) -> None:
        link = links.LINK.match(self._line, self._at)
        if link is not None and links.has_scheme(link[2]):
            image = bool(self._out) and self._out[-1] == "!"
            self._at = link.end()
            if not image and links.may_link(link[2], self._policy.allowed_hosts):
                self._put(f"[{self._nested(link[1])}]({link[2]})")
                return
            self._kinds.add("image" if image else "link")
            if image:
                self._out.pop()
            shown = self._nested(link[1])
            self._put(f"\\[{shown}] (" if self._joins_last() else f"{shown} (")
            self._put_code(code_span(link[2]))
            self._put(")")
            return
        self._replace("[", "\\[", "reference")
        self._part_contents()

    def _part_contents(self) -> None:
        """`[TOC]` is looked for in the rendered text, so it needs a space besides the escape."""
        opens = references.opens_contents(self._line, self._at)
        if opens and not self._line.startswith(" ", self._at):
            self._put(" ")

    def _reference(self, char: str) -> None:
        if char == "&" and (entity := links.COMMON_ENTITY.match(self._line, self._at)):
            self._replace(entity[0], links.ENTITY_TEXT[entity[1]], "html")
            if entity[1] == "lt":
                self._part_comment()
        elif references.is_reference(self._line, self._at, self._policy.allowed_mentions):
            self._replace(char, f"\\{char}", "mention" if char == "@" else "reference")
        else:
            self._put(char)
            self._at += 1

    def _address(self) -> None:
        match = links.URL.match(self._line, self._at) or links.WWW.match(self._line, self._at)
        found = "" if match is None else links.without_trailing(match[0])
        if found.lower() in ("", "www"):
            self._put(self._line[self._at])
            self._at += 1
            return
        self._at += len(found)
        url = found.replace("\\", "")
        if links.may_link(url, self._policy.allowed_hosts):
            self._put(url)
        else:
            self._kinds.add("link")
            self._put_code(code_span(url))

    def _nested(self, text: str) -> str:
        """The text of a link, by the same rules; it holds no bracket."""
        return Line(text, self._policy, self._kinds, table=False).clean()
