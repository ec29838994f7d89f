"""`docs/asyncapi.yaml`: subjects, messages and who sends and receives them, as AsyncAPI 3.0."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from documents import catalogue, source, yaml
from documents.catalogue import CHANNELS, PARAMETERS, Channel
from documents.events import HEADERS
from documents.examples import example
from libs.common.events import envelope

VERSION = "3.0.0"
_PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_NOTE = "# Made from the code by `make docs`; changes here are overwritten.\n"
_ALWAYS = (envelope.MESSAGE_ID, envelope.CE_ID, envelope.CE_TYPE, envelope.CE_SOURCE)
Node = dict[str, Any]


def page() -> str:
    return _NOTE + yaml.text(document())


def document() -> Node:
    """The whole document as plain data."""
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    return {
        "asyncapi": VERSION,
        "info": {
            "title": project["name"],
            "version": project["version"],
            "description": "The event log of gitlab-copilot-agent: one JetStream stream, EVENTS. "
            "The runner has no part in it; it speaks HTTP with ingest's task door.",
            "license": {"name": project["license"]},
        },
        "defaultContentType": "application/json",
        "servers": {
            "nats": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "NATS with JetStream, set by NATS_URL.",
            }
        },
        "channels": {one.name: _channel(one) for one in CHANNELS},
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channel(one: Channel) -> Node:
    return {
        "address": one.address,
        "description": one.meaning,
        "messages": {
            kind.__name__: _ref("components", "messages", kind.__name__)
            for kind in catalogue.kinds_in(one)
        },
        "parameters": {name: {"description": PARAMETERS[name]} for name in one.parameters},
    }


def _operations() -> Node:
    found: Node = {}
    for one in CHANNELS:
        for action, services in (("send", one.writers), ("receive", catalogue.readers(one))):
            for service in services:
                found[f"{service}_{action}_{one.name}"] = {
                    "action": action,
                    "channel": _ref("channels", one.name),
                    "summary": f"{service}: {one.meaning}",
                    "messages": [
                        _ref("channels", one.name, "messages", kind.__name__)
                        for kind in catalogue.kinds_in(one)
                    ],
                }
    return found


def _messages() -> Node:
    return {
        kind.__name__: {
            "name": catalogue.tag(kind),
            "title": kind.__name__,
            "summary": " ".join(source.meaning(kind).split()),
            "contentType": "application/json",
            "headers": _ref("components", "schemas", "Headers"),
            "payload": _ref("components", "schemas", kind.__name__),
            "examples": [{"name": "example", "payload": json.loads(example(kind))}],
        }
        for kind in catalogue.kinds()
    }


def _schemas() -> Node:
    _, schemas = msgspec.json.schema_components(
        catalogue.kinds(), ref_template="#/components/schemas/{name}"
    )
    headers = {
        "type": "object",
        "description": "Headers of every event; those without a value are left out.",
        "properties": {
            name: {"type": "string", "description": text} for name, text in HEADERS.items()
        },
        "required": list(_ALWAYS),
    }
    plain = json.loads(msgspec.json.encode(schemas))  # lists for tuples
    return {"Headers": headers, **dict(sorted(plain.items()))}


def _ref(*path: str) -> Node:
    return {"$ref": "#/" + "/".join(path)}
