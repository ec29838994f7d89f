"""Our comments as documents, and as markup for Data Center."""

from __future__ import annotations

import pytest

from libs.common.jira import wiki
from libs.common.jira.adf import to_text
from libs.common.jira.adf_writing import LONGEST, from_text


def content(text):
    return from_text(text)["content"]


def test_paragraphs_are_parted_by_empty_lines_and_lines_by_breaks():
    assert content("a\nb\n\n\nc") == [
        {
            "type": "paragraph",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "hardBreak"},
                {"type": "text", "text": "b"},
            ],
        },
        {"type": "paragraph", "content": [{"type": "text", "text": "c"}]},
    ]


@pytest.mark.parametrize(
    ("text", "shown", "href"),
    [
        ("[MR](https://x.test/1)", "MR", "https://x.test/1"),
        ("https://x.test/1", "https://x.test/1", "https://x.test/1"),
        ("http://x.test/1", "http://x.test/1", "http://x.test/1"),
    ],
)
def test_links_lead_to_web_addresses(text, shown, href):
    [paragraph] = content(text)
    mark = {"type": "link", "attrs": {"href": href}}
    assert paragraph["content"] == [{"type": "text", "text": shown, "marks": [mark]}]


def test_a_sentence_ends_after_its_address():
    [paragraph] = content("See https://x.test/1.")
    assert [node["text"] for node in paragraph["content"]] == ["See ", "https://x.test/1", "."]


@pytest.mark.parametrize(
    "text", ["[x](javascript:alert(1))", "[x](/relative)", "@alice", "[~alice]", "*b*", "<b>"]
)
def test_everything_else_is_plain_text(text):
    assert content(text) == [{"type": "paragraph", "content": [{"type": "text", "text": text}]}]


def test_code_is_code():
    [paragraph, block, last] = content("Use ``a `b` c`` now\n```py\n[x](https://y.test)\n```\nend")

    assert paragraph["content"][1] == {
        "type": "text",
        "text": "a `b` c",
        "marks": [{"type": "code"}],
    }
    assert block == {
        "type": "codeBlock",
        "attrs": {"language": "py"},
        "content": [{"type": "text", "text": "[x](https://y.test)"}],
    }
    assert last["content"] == [{"type": "text", "text": "end"}]


@pytest.mark.parametrize(("text", "code"), [("```\na\n", "a\n"), ("````\n```\n````", "```")])
def test_a_fence_ends_with_its_like_or_with_the_text(text, code):
    [block] = content(text)
    assert block["content"][0]["text"] == code


def test_a_long_text_is_cut_below_jira_s_limit():
    assert len(to_text(from_text("x" * 100_000))) == LONGEST


def test_control_characters_vanish():
    assert to_text(from_text("a\x00\x1b[31mb\x7f")) == "a[31mb"


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("plain words", "plain words"),
        ("a\nb\n\nc", "a\nb\n\nc"),
        ("@alice [~alice]", r"@alice \[\~alice\]"),
        ("{macro} !image.png!", r"\{macro\} \!image.png\!"),
        ("C:\\temp & more", "C:&#92;temp &amp; more"),
        ("[the MR](https://x.test/a_b)", "[the MR|https://x.test/a_b]"),
        ("https://x.test/a-b", "[https://x.test/a-b]"),
        ("`a_b`", r"{{a\_b}}"),
        ("```\nx {noformat} y\n```", "{noformat}\nx { noformat} y\n{noformat}"),
    ],
)
def test_data_center_gets_markup_in_which_nothing_has_a_hidden_meaning(text, markup):
    assert wiki.from_adf(from_text(text)) == markup
