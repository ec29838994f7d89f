"""A text as prose and fences, and back in a form that has one reading. Called by `clean`.

Every fence is written anew: at the start of its line, with a known language, longer than any run
of backticks in it, and closed. Diagrams, formulas and GitLab's own blocks become plain `text`.
"""

from __future__ import annotations

import re

import msgspec

from services.publisher.firewall import html_and_links as links
from services.publisher.firewall import quick_actions
from services.publisher.firewall.inline import Line, defuse_marker
from services.publisher.firewall.policy import Policy

_OPEN = re.compile(
    r"(?P<indent>[ \t]*)(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?"
    r"(?P<fence>`{3,}(?=[^`]*$)|~{3,})[ \t]*(?P<language>[^\s{,]*)"
)
_RUN = re.compile("`{3,}")
_TABLE_ROW = re.compile(r"[\s>|:\-+*\d.)]+")
# Named one by one, so that a diagram or query language of a newer GitLab is plain text too.
LANGUAGES = frozenset(
    """
    ada apache asm awk bash bat c c# c++ clojure cmake cmd cobol coffeescript conf console cpp
    crystal cs csharp css csv cuda cue cypher d dart diff django docker dockerfile dotenv elisp
    elixir elm env erb erlang f# fish fortran fsharp gherkin git gitignore glsl go golang gradle
    graphql groovy haml handlebars haskell hcl hs html http ini java javascript jinja jinja2 jl js
    json json5 jsonc jsonnet jsx julia kotlin kt latex less lisp log lua make makefile markdown
    matlab md nginx nim nix objc objectivec ocaml pascal patch perl php pl plaintext plsql
    postgresql powershell prolog promql properties proto protobuf ps1 pug puppet py pycon python
    python3 r rb regex rego rs rst ruby rust sass sbt scala scheme scss sh shell smalltalk
    solidity sql starlark svelte swift systemd systemverilog tcl terraform tex text tf toml ts
    tsql tsx twig txt typescript vb verilog vhdl vim vue wasm xml yaml yml zig zsh
    """.split()  # noqa: SIM905  # a column of 130 quoted words reads worse
)


class Prose(msgspec.Struct):
    """Lines outside fences."""

    lines: list[str]


class Fence(msgspec.Struct):
    """Code, without its fence lines."""

    language: str
    lines: list[str]


def split(text: str) -> list[Prose | Fence]:
    """The blocks of a text; a fence that is never closed ends with the text."""
    blocks: list[Prose | Fence] = []
    fence: re.Match[str] | None = None
    code: list[str] = []
    prose: list[str] = []
    for line in text.split("\n"):
        if fence is not None:
            if _closes(line, fence["fence"]):
                blocks.append(Fence(fence["language"], code))
                fence = None
            else:
                code.append(_dedent(line, len(fence["indent"])))
        elif match := _OPEN.match(line):
            blocks.append(Prose(prose))
            fence, code, prose = match, [], []
        else:
            prose.append(line)
    blocks.append(Prose(prose) if fence is None else Fence(fence["language"], code))
    return [block for block in blocks if isinstance(block, Fence) or block.lines]


def _closes(line: str, fence: str) -> bool:
    mark = line.strip(" \t")
    return len(mark) >= len(fence) and mark == fence[0] * len(mark)


def _dedent(line: str, width: int) -> str:
    blank = len(line) - len(line.lstrip(" \t"))
    return line[min(width, blank) :]


def render_fence(fence: Fence, kinds: set[str]) -> str:
    language = fence.language.lower()
    if language not in LANGUAGES:
        kinds.update({"fence"} if language else ())
        language = "text"
    lines = [defuse_marker(line) for line in fence.lines]
    longest = max((len(run) for line in lines for run in _RUN.findall(line)), default=2)
    if longest > 2:  # see quick_actions: older GitLab does not know the longer form
        lines = [quick_actions.defuse_in_code(line) for line in lines]
    ticks = "`" * (longest + 1)
    return "\n".join([f"{ticks}{language}", *lines, ticks])


def render_prose(prose: Prose, policy: Policy, kinds: set[str]) -> str:
    lines = links.strip_comments(prose.lines)
    if lines != prose.lines:
        kinds.add("comment")
    table = any(_divides_columns(line) for line in lines)
    return "\n".join(render_line(line, policy, kinds, table=table) for line in lines)


def render_line(line: str, policy: Policy, kinds: set[str], *, table: bool) -> str:
    cleaned = Line(line, policy, kinds, table=table).clean()
    safe = quick_actions.defuse(cleaned)
    if safe != cleaned:
        kinds.add("quick_action")
    return safe


def _divides_columns(line: str) -> bool:
    marks = "-" in line and ("|" in line or ":" in line)
    return marks and _TABLE_ROW.fullmatch(line) is not None
