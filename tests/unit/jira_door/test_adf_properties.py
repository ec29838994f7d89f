"""Whatever it is given, text from a document is bounded text, and our documents are read back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.jira import wiki
from libs.common.jira.adf import BLOCKS, to_text
from libs.common.jira.adf_inline import INLINE
from libs.common.jira.adf_writing import from_text
from tests.simulators.jira.adf_check import is_document

KINDS = st.sampled_from([*sorted(BLOCKS), *sorted(INLINE), "nonsense"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["level", "order", "text", "url", "state", "language", "timestamp", "href"]),
    JSON,
    max_size=3,
)
NODES = st.recursive(
    JSON,
    lambda inner: st.fixed_dictionaries(
        {"type": KINDS},
        optional={
            "content": st.lists(inner, max_size=5) | JSON,
            "text": LEAVES,
            "attrs": ATTRIBUTES | JSON,
            "marks": st.lists(st.fixed_dictionaries({"type": KINDS, "attrs": ATTRIBUTES})) | JSON,
        },
    ),
    max_leaves=25,
)


@given(NODES, st.integers(min_value=0, max_value=300))
@settings(max_examples=400)
def test_any_node_becomes_bounded_text(node, longest):
    found = to_text({"type": "doc", "version": 1, "content": [node]}, longest)

    assert len(found) <= longest
    found.encode()


@given(st.text(max_size=400) | st.text(alphabet="`[]()@~*_{}|\\!#&-+ \nhttps:/x.", max_size=200))
@settings(max_examples=400)
def test_any_text_becomes_a_document_without_mentions_that_jira_takes(text):
    document = from_text(text)

    assert is_document(document)
    assert not kinds(document) - {
        "doc", "paragraph", "text", "hardBreak", "codeBlock", "link", "code",
    }  # fmt: skip
    wiki.from_adf(document).encode()


@given(st.text(alphabet=r"ab[]~{}*_+^!|?#-\&", min_size=1, max_size=60))
@settings(max_examples=300)
def test_plain_text_survives_the_markup_of_data_center(text):
    markup = wiki.from_adf(from_text(text))

    assert wiki.to_text(markup) == text
    assert "[~" not in markup
    assert "\\\\" not in markup


def kinds(value):
    if isinstance(value, dict):
        inside = set().union(*(kinds(each) for each in value.values()), set())
        return inside | ({value["type"]} if isinstance(value.get("type"), str) else set())
    return set().union(*map(kinds, value), set()) if isinstance(value, list) else set()
