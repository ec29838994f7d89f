"""docs/asyncapi.yaml has the structure that AsyncAPI 3.0 asks for, and its examples fit."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from documents import asyncapi, catalogue, yaml
from libs.common.events import envelope
from tests.unit.documents.reading import load

DOCUMENT = load(asyncapi.page())
KINDS = {kind.__name__: kind for kind in catalogue.kinds()}


def references(node: Any):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def resolved(reference: str) -> Any:
    node = DOCUMENT
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        node = node[part]
    return node


def test_the_file_holds_the_document():
    assert DOCUMENT == asyncapi.document()


def test_what_asyncapi_requires_is_there():
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    assert [set(server) >= {"host", "protocol"} for server in DOCUMENT["servers"].values()] == [
        True
    ]
    known = {"asyncapi", "info", "id", "servers", "defaultContentType", "channels", "operations"}
    assert set(DOCUMENT) - known == {"components"}
    assert set(DOCUMENT["components"]) == {"messages", "schemas"}


def test_names_have_the_letters_that_components_may_have():
    for part in (DOCUMENT["channels"], DOCUMENT["operations"], *DOCUMENT["components"].values()):
        assert [name for name in part if not re.fullmatch(r"[a-zA-Z0-9._-]+", name)] == []


def test_every_reference_leads_somewhere():
    found = set(references(DOCUMENT))

    assert found
    for reference in found:
        assert resolved(reference)


@pytest.mark.parametrize("name", DOCUMENT["channels"])
def test_a_channel_names_the_parameters_of_its_address_and_its_messages(name):
    channel = DOCUMENT["channels"][name]

    assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"])
    assert channel["messages"]
    assert all("schema" not in parameter for parameter in channel["parameters"].values())


@pytest.mark.parametrize("name", DOCUMENT["operations"])
def test_an_operation_sends_or_receives_messages_of_its_channel(name):
    operation = DOCUMENT["operations"][name]

    assert operation["action"] in {"send", "receive"}
    start = operation["channel"]["$ref"]
    assert operation["messages"]
    for message in operation["messages"]:
        assert message["$ref"].startswith(f"{start}/messages/")


def test_every_event_is_a_message_that_somebody_sends():
    sent = {
        ref["$ref"].rsplit("/", 1)[1]
        for operation in DOCUMENT["operations"].values()
        if operation["action"] == "send"
        for ref in operation["messages"]
    }

    assert set(DOCUMENT["components"]["messages"]) == sent == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_an_example_is_an_event_of_its_type_and_has_what_its_schema_requires(name):
    message = DOCUMENT["components"]["messages"][name]
    [example] = message["examples"]
    schema = resolved(message["payload"]["$ref"])

    event = envelope.decode(msgspec.json.encode(example["payload"]))
    assert type(event) is KINDS[name]
    assert message["name"] == envelope.event_type(event) == example["payload"]["type"]
    assert set(schema["required"]) <= set(example["payload"]) <= set(schema["properties"])


@pytest.mark.parametrize(
    "value",
    [
        {"a": {"b": [1, "two", None, True, 1.5]}, "true": [], "c d": {}, "$ref": "#/x"},
        [[["deep"], {"a": [{"b": "c: d # e"}, {}]}], "- x", ""],
        {"text": 'line\nbreak "quoted" \\ é \u2028', "no": "yes"},
        {},
    ],
)
def test_any_plain_value_is_read_back_as_it_was(value):
    assert load(yaml.text(value)) == value
