"""Documents of Jira as text: every node type of the schema, and bad ones."""

from __future__ import annotations

import functools

import pytest

from libs.common.jira.adf import BLOCKS, CUT, DEEPEST, LONGEST, MOST_LINES, MOST_NODES, to_text
from libs.common.jira.adf_inline import INLINE
from tests.effort import calls

SCHEMA = [
    "blockCard",
    "blockTaskItem",
    "blockquote",
    "bodiedExtension",
    "bodiedSyncBlock",
    "bulletList",
    "caption",
    "codeBlock",
    "date",
    "decisionItem",
    "decisionList",
    "doc",
    "embedCard",
    "emoji",
    "expand",
    "extension",
    "hardBreak",
    "heading",
    "image",
    "inlineCard",
    "inlineExtension",
    "layoutColumn",
    "layoutSection",
    "listItem",
    "media",
    "mediaGroup",
    "mediaInline",
    "mediaSingle",
    "mention",
    "nestedExpand",
    "orderedList",
    "panel",
    "paragraph",
    "placeholder",
    "rule",
    "status",
    "syncBlock",
    "table",
    "tableCell",
    "tableHeader",
    "tableRow",
    "taskItem",
    "taskList",
    "text",
]
"""The node types of the published schema of Atlassian Document Format, without its marks."""


def node(kind, *content, **attrs):
    return {"type": kind, "attrs": attrs, "content": list(content)}


def text(value, *marks, **href):
    made = [{"type": mark, "attrs": href} for mark in marks]
    return {"type": "text", "text": value, "marks": made}


def para(*content):
    return node("paragraph", *(text(each) if isinstance(each, str) else each for each in content))


def doc(*content):
    return {"type": "doc", "version": 1, "content": list(content)}


def item(*content):
    return node("listItem", *content)


@pytest.mark.parametrize("kind", SCHEMA)
def test_every_node_type_of_the_schema_is_known(kind):
    assert kind in BLOCKS | set(INLINE)


@pytest.mark.parametrize("kind", [*SCHEMA, "tomorrow'sNode"])
def test_no_node_type_loses_the_text_inside(kind):
    if kind in {"text", "hardBreak", "rule", "table", "tableRow"} | set(INLINE):
        return
    inside = text("kept") if kind in {"codeBlock", "paragraph", "heading"} else para("kept")
    if kind in {"media", "blockCard", "embedCard"}:  # these have attributes only
        return
    assert "kept" in to_text(doc(node(kind, inside)))


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (para("One ", text("two", "strong"), " ", text("three", "em")), "One **two** *three*"),
        (para(text("gone", "strike"), text(" `x` ", "code")), "~~gone~~`` `x` ``"),
        (para("x", text(" spaced ", "strong"), "x"), "x **spaced** x"),
        (para("a", node("hardBreak"), "b"), "a\nb"),
        (para(text("here", "link", href="https://x.test/")), "[here](https://x.test/)"),
        (para(text("https://x.test/", "link", href="https://x.test/")), "https://x.test/"),
        (para(text("H", "underline", "textColor"), text("2", "subsup")), "H2"),
        (node("heading", text("Title"), level=2), "## Title"),
        (node("heading", text("Title"), level="99"), "# Title"),
        (node("codeBlock", text("a\n  b"), language="python"), "```python\na\n  b\n```"),
        (node("codeBlock", text("```\nx\n```"), language="no good\n"), "````\n```\nx\n```\n````"),
        (node("codeBlock"), "```\n\n```"),
        (node("blockquote", para("a"), para("b")), "> a\n>\n> b"),
        (node("panel", para("Look"), panelType="warning"), "> **Warning:**\n> Look"),
        (node("rule"), "---"),
        (node("expand", para("x"), title="More"), "**More**\n\nx"),
        (node("nestedExpand", para("x"), title="More"), "**More**\n\nx"),
        (node("bulletList", item(para("a")), item(para("b"))), "- a\n- b"),
        (node("orderedList", item(para("a")), item(para("b")), order=9), "9. a\n10. b"),
        (node("taskList", node("taskItem", text("a"), state="TODO")), "- [ ] a"),
        (node("taskList", node("blockTaskItem", para("a"), state="DONE")), "- [x] a"),
        (
            node("decisionList", node("decisionItem", text("a"), state="DECIDED")),
            "- Decision: a",
        ),
        (para(node("mention", id="712020:x", text="@Alice")), "@Alice"),
        (para(node("mention", id="712020:x")), "@712020:x"),
        (para(node("emoji", shortName=":smile:", text="😄")), "😄"),
        (para(node("emoji", shortName=":custom:")), ":custom:"),
        (para(node("date", timestamp="1767225600000")), "2026-01-01"),
        (para(node("date", timestamp="soon")), "soon"),
        (para(node("status", text="IN PROGRESS", color="blue")), "[IN PROGRESS]"),
        (para(node("placeholder", text="Type here")), "[Type here]"),
        (para(node("inlineCard", url="https://x.test/1")), "https://x.test/1"),
        (para(node("inlineCard", data={"url": "https://x.test/2"})), "https://x.test/2"),
        (node("blockCard", url="https://x.test/3"), "https://x.test/3"),
        (node("embedCard", url="https://x.test/4", layout="wide"), "https://x.test/4"),
        (node("mediaSingle", node("media", type="file", id="m1", alt="a.png")), "[file: a.png]"),
        (node("mediaGroup", node("media", type="link", id="m2")), "[link: m2]"),
        (node("mediaSingle", node("media", type="external", url="https://x.test/i")),
         "[image: https://x.test/i]"),
        (node("mediaSingle", node("media"), node("caption", text("Fig. 1"))), "[media]\n\nFig. 1"),
        (para(node("mediaInline", type="image", alt="a cat")), "[image: a cat]"),
        (para(node("inlineExtension", extensionKey="toc")), "[toc]"),
        (node("extension", extensionKey="chart", text="A chart"), "[A chart]"),
        (node("bodiedExtension", para("in"), extensionKey="excerpt"), "[excerpt]\n\nin"),
        (node("syncBlock", resourceId="r"), "[extension]"),
        (node("bodiedSyncBlock", para("in"), resourceId="r"), "in"),
        (node("layoutSection", node("layoutColumn", para("l")), node("layoutColumn", para("r"))),
         "l\n\nr"),
        (node("unknownBlock", para("kept")), "kept"),
        (para({"type": "unknownInline", "text": "kept"}), "kept"),
    ],
)  # fmt: skip
def test_each_node_has_its_text(block, expected):
    assert to_text(doc(block)) == expected


def test_lists_are_nested_under_their_items():
    inner = node(
        "orderedList", item(para("one")), item(para("two"), node("codeBlock", text("x\ny")))
    )
    found = to_text(doc(node("bulletList", item(para("a"), inner), item(para("b")))))

    assert found == "- a\n  1. one\n  2. two\n     ```\n     x\n     y\n     ```\n- b"


def test_task_lists_are_nested_under_their_items():
    inner = node("taskList", node("taskItem", text("inner"), state="DONE"))
    found = to_text(doc(node("taskList", node("taskItem", text("outer"), state="TODO"), inner)))

    assert found == "- [ ] outer\n  - [x] inner"


def test_tables_keep_their_rows_and_columns():
    rows = (
        node("tableRow", node("tableHeader", para("Name")), node("tableHeader", para("Use"))),
        node("tableRow", node("tableCell", para("a|b")), node("tableCell", para("x"), para("y"))),
        node("tableRow", node("tableCell", para("short"))),
    )
    assert to_text(doc(node("table", *rows))) == (
        "| Name | Use |\n| --- | --- |\n| a\\|b | x<br>y |\n| short |  |"
    )


def test_blocks_are_apart_and_empty_ones_vanish():
    found = to_text(
        doc(para("a"), para(), para(" "), node("bulletList", item(para("b"))), para("c"))
    )
    assert found == "a\n\n- b\n\nc"


@pytest.mark.parametrize(
    "document",
    [
        None, 5, True, [], {}, "", {"type": None}, {"type": "doc"}, {"type": "doc", "content": "x"},
        doc(None, 5, "x", []), doc({"type": "paragraph", "content": [None, {"type": "text"}]}),
        doc(node("heading")), doc(node("table", node("tableRow"))), doc(node("orderedList")),
        doc({"type": "text", "text": 5}), doc({"type": "mention", "attrs": []}),
        doc(para({"type": "text", "text": "", "marks": "x"})),
    ],
)  # fmt: skip
def test_what_is_no_document_has_no_text(document):
    assert to_text(document) in {"", "@", "|  |", "#"}


@pytest.mark.parametrize(
    "attrs", [{"timestamp": 10**5000}, {"timestamp": "9" * 5000}, {"timestamp": True}]
)
def test_absurd_dates_do_no_harm(attrs):
    to_text(doc(para({"type": "date", "attrs": attrs})))


def test_a_text_of_data_center_stays_as_it_is():
    assert to_text("h1. Title\r\n\r\n* a\n") == "h1. Title\n\n* a"


@pytest.mark.parametrize("kind", ["blockquote", "bulletList", "listItem", "unknown", "table"])
def test_depth_is_bounded_and_the_text_below_is_kept(kind):
    inner = para("deep")
    for _ in range(50_000):
        inner = {"type": kind, "content": [inner]}

    found = to_text(doc(para("top"), inner))

    assert found.startswith("top")
    assert len(found) < 2_000
    assert "deep" in to_text(doc({"type": "panel", "content": [nested(kind, DEEPEST * 20)]}))


def nested(kind, depth):
    inner = para("deep")
    for _ in range(depth):
        inner = {"type": kind, "content": [inner]}
    return inner


def test_length_is_bounded_and_says_so():
    found = to_text(doc(*(para("word " * 1000) for _ in range(100))))

    assert len(found) == LONGEST
    assert found.endswith(CUT)
    assert to_text("x" * 10, 5) in {"xxxxx", CUT[:5]}


def hostile(size):
    """Many lines, which every level of lists and quotes indents again, and many nodes."""
    lines = node("codeBlock", text("x\n" * size))
    for _ in range((DEEPEST - 1) // 2):
        lines = node("bulletList", item(node("blockquote", lines)))
    return doc(lines, *(para(*"abcdefgh") for _ in range(size)))


def test_a_hostile_document_costs_no_more_than_one_that_reaches_the_bounds():
    bounded, larger = (
        calls(functools.partial(to_text, hostile(size))) for size in (MOST_NODES, 2 * MOST_NODES)
    )

    # What is too much has to be passed over, and that is all.
    assert larger - bounded < 10 * MOST_NODES


def test_lines_are_bounded_at_every_level():
    code = node("codeBlock", text("\n" * 60_000))
    found = to_text(doc(node("bulletList", item(node("blockquote", code)))))

    assert len(found.split("\n")) <= MOST_LINES + 1
    assert CUT.strip() in found


def test_letters_that_are_none_become_question_marks():
    assert to_text(doc(para("a\ud800b"))) == "a?b"
