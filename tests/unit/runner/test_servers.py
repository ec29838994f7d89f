"""MCP servers as repositories ask for them: what is read, what is refused, what is bounded."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runner import nested, servers
from services.runner.permissions import OUR_READING, READING_TOOLS, Walls, available, decide
from services.runner.servers import MOST, Server, Servers

WORDS = {"command": "python3", "args": ["words.py"], "tools": ["say"], "env": {"MODE": "short"}}
READ = Server(
    name="words",
    command="python3",
    path=".mcp.json",
    args=("words.py",),
    env={"MODE": "short"},
    tools=("say",),
)
AGENT = """\
---
name: speaker
mcp-servers:
  words:
    # a comment
    type: 'stdio'
    command: python3
    args: ['words.py']   # another
    tools:
    - say
    env:
      MODE: "short"
tools: ['read']
---
mcp-servers:
  not: here
"""


def found(content: object, path: str = ".mcp.json") -> Servers:
    text = content if isinstance(content, str) else json.dumps(content)
    return servers.read([(path, text.encode())])


@pytest.mark.parametrize("content", [{"mcpServers": {"words": WORDS}}, {"words": WORDS}])
def test_both_forms_of_the_cli_s_file_are_read(content):
    assert found(content) == Servers(found=(READ,))


def test_an_agent_s_front_matter_is_read_and_its_text_is_not():
    path = ".github/agents/speaker.agent.md"
    [server] = found(AGENT, path).found

    assert server == Server(
        name="words",
        command="python3",
        path=path,
        args=("words.py",),
        env={"MODE": "short"},
        tools=("say",),
    )


def test_an_agent_without_servers_asks_for_none():
    path = ".github/agents/a.md"
    for text in ("", "no front matter", "---\nname: a\n---\nmcp-servers:\n  x:\n", "---\nmcp"):
        assert found(text, path) == Servers()


def test_files_of_the_whole_repository_go_first_and_of_one_name_the_first_counts():
    paths = [".github/agents/b.md", "src/.mcp.json", ".github/mcp.json", ".mcp.json", "a.md"]

    assert servers.order(paths) == [".mcp.json", ".github/mcp.json", ".github/agents/b.md"]
    other = json.dumps({"words": {"command": "other"}}).encode()
    first = (".mcp.json", json.dumps({"words": WORDS}).encode())
    assert servers.read([first, (".github/mcp.json", other)]).found == (READ,)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"type": "http", "url": "https://example.com"}, "is not local"),
        ({"type": "sse", "url": "https://example.com", "command": "x"}, "is not local"),
        ({"args": []}, "is not local"),
        ("words.py", "is no description"),
        ({"command": 7}, "command that is no text"),
        ({"command": "x\0y"}, "command that is no text"),
        ({"command": "x", "args": [["y"]]}, "args that is no text"),
        ({"command": "x", "args": ["y"] * 65}, "too many args"),
        ({"command": "x", "env": ["A=b"]}, "no list of variables"),
        ({"command": "x", "env": {"A=B": "c"}}, "no list of variables"),
        ({"command": "x", "env": {"A": None}}, "env that is no text"),
        ({"command": "x" * 5000}, "too long"),
    ],
)
def test_what_cannot_be_started_is_left_out_with_its_reason(given, why):
    answer = found({"strange": given, "words": WORDS})

    assert answer.found == (READ,)
    [left] = answer.left_out
    assert left.startswith(".mcp.json: 'strange' ")
    assert why in left


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", "ü", "x" * 41])
def test_a_strange_name_is_left_out(name):
    assert found({name: WORDS}).found == ()


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "[" * 100_000, '{"mcpServers": [1]}'])
def test_a_file_that_cannot_be_read_is_said_and_harms_nobody(text):
    answer = servers.read([(".mcp.json", text.encode()), (".github/mcp.json", b"\xff")])

    assert answer.found == ()
    assert [line.partition(":")[0] for line in answer.left_out] == [".mcp.json", ".github/mcp.json"]


def test_no_more_servers_are_started_than_the_most():
    answer = found({f"words{number}": WORDS for number in range(MOST + 3)})

    assert (len(answer.found), len(answer.left_out)) == (MOST, 3)


@pytest.mark.parametrize(
    "text",
    ["a: &x b", "a: *x", "a: !!int 3", "a: |\n  b", "a: >\n  b", "a: {b: c}", "a: [b", "\ta: b",
     "a: 'b", "a:\n    b: c\n  d: e", "- a: b", "a: [[b]]", "just words", "a: b: c", 'a: "b" c'],
)  # fmt: skip
def test_yaml_that_is_not_understood_is_refused_not_guessed(text):
    with pytest.raises(ValueError, match=r"."):
        nested.read(text)


def test_words_lists_and_mappings_of_yaml_are_read():
    text = "a:\n  b: one  # no\n  \"c d\": [1, 'it''s', \"x\\ty\", -y]\n  e: {}\n  f:\n  - g\ng:\n"

    assert nested.read(text) == {
        "a": {"b": "one", "c d": ["1", "it's", "x\ty", "-y"], "e": {}, "f": ["g"]},
        "g": "",
    }


@given(st.text(alphabet="ab:-[]{}'\"# \n\\,", max_size=60))
def test_reading_yaml_ends_in_a_value_or_one_kind_of_error(text):
    try:
        nested.read(text)
    except ValueError:
        return


def test_only_named_tools_of_allowed_servers_may_be_called(tmp_path):
    """SR-20."""
    walls = Walls.around(tmp_path, servers={"words": ("say",), "all": ("*",)})

    def may(server: str | None, tool: str | None) -> bool:
        return decide("mcp", path=None, tool=tool, walls=walls, server=server).allowed

    assert may("words", "words-say")
    assert may("all", "all-anything")
    for server, tool in (
        ("words", "words-shout"),
        ("words", "all-say"),
        ("github-mcp-server", "github-mcp-server-search"),
        (None, "words-say"),
        ("words", None),
    ):
        assert not may(server, tool)
    assert not decide(
        "mcp", path=None, tool="a-b", walls=Walls.around(tmp_path), server="a"
    ).allowed


def test_the_cli_offers_the_tools_that_may_be_called(tmp_path):
    named = Walls.around(tmp_path, servers={"words": ("say", "shout")})

    offered = (*READING_TOOLS, *OUR_READING, "submit_review")
    assert available(Walls.around(tmp_path)) == [*offered]
    assert available(named) == [*offered, "mcp:words-say", "mcp:words-shout"]
    assert available(Walls.around(tmp_path, servers={"a": ("*",)}))[-1] == "mcp:*"
