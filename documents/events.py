"""`docs/events.md`: each event with its subject, writer, readers, fields and an example."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import inspect

from documents import catalogue, source
from documents.catalogue import Channel
from documents.examples import example
from documents.markdown import code, document, table
from libs.common.events import envelope
from libs.common.jetstream.topology import Stream, topology

HEADERS = {
    envelope.MESSAGE_ID: "Names the observation. The log drops a second one within 24 hours.",
    envelope.CE_ID: "The same, by the name of CloudEvents.",
    envelope.CE_TYPE: "The event's tag, as in its field `type`.",
    envelope.CE_SOURCE: "The service that wrote it.",
    envelope.CE_TIME: "When it was written, ISO 8601 in UTC.",
    envelope.TRACEPARENT: "The trace it belongs to (W3C Trace Context).",
    envelope.CAUSATION: "Message id of the event that this one follows from.",
    envelope.REPLAY_OF: "Message id of the event that this one repeats by hand.",
}
STREAMS = {
    "EVENTS": "The log: every event on this page, one message per event.",
    "DEAD_LETTERS": "What nobody could handle, whole, with the reason in its headers; the subject "
    "is `dead.<durable>.<subject>`.",
    "KV_DEDUP": "Bucket `DEDUP`: reviewed heads, launch counts, starts of handlers.",
    "KV_LOCKS": "Bucket `LOCKS`: leases and slots, each with a time after which it ends.",
    "KV_WATERMARKS": "Bucket `WATERMARKS`: how far readers are, and which webhooks came lately.",
    "OBJ_ARTIFACTS": "Object store `ARTIFACTS`: bodies of more than 512 KiB; the event then names "
    "the object, its size and digest.",
}
_INTRODUCTION = """\
All events are in one stream and have subjects of one shape, `<noun>.<verb>.<scope>.<ref>.<id>`, so
`*.*.42.7.>` is the whole history of merge request 42!7. [architecture.md](architecture.md) says
what follows from what; [asyncapi.yaml](asyncapi.yaml) says the same as this page to machines.

An event is JSON. Its field `type` names its type and version. A reader skips fields that it does
not know, a field that is added has a default, and a breaking change is a new type. *Append* drops
a repeat of the same message id; *create once* takes the first event of its subject and no second.
An event of the log is a hint: ids, shas and authors are read again from the API before work."""


def page() -> str:
    return document(
        "Events",
        _INTRODUCTION,
        "## Subjects\n\n" + _subjects(),
        "## Headers\n\n" + table(("Header", "Meaning"), _pairs(HEADERS)),
        *(_event(kind) for kind in catalogue.kinds()),
        "## Parts of events",
        *(_part(kind) for kind in parts()),
        "## Streams and buckets\n\n" + _streams(),
        "## Durables\n\n" + _durables(),
    )


def parts() -> list[type[Any]]:
    """The types that events are made of, each once, in the order in which they are met."""
    found: dict[type[Any], None] = {}
    for kind in catalogue.kinds():
        _collect(inspect.type_info(kind), found)
    return [kind for kind in found if kind not in catalogue.kinds()]


def _collect(info: inspect.Type, found: dict[type[Any], None]) -> None:
    match info:
        case inspect.StructType(cls=kind, fields=fields):
            found.setdefault(kind)
            for field in fields:
                _collect(field.type, found)
        case inspect.UnionType(types=types):
            for one in types:
                _collect(one, found)
        case inspect.VarTupleType(item_type=item):
            _collect(item, found)


def _subjects() -> str:
    rows = (
        (code(_subject(one)), ", ".join(one.writers), one.written, _readers(one), one.meaning)
        for one in catalogue.CHANNELS
    )
    return table(("Subject", "Written by", "How", "Read by", "Meaning"), rows)


def _subject(one: Channel) -> str:
    return one.address.replace("{", "<").replace("}", ">")


def _readers(one: Channel) -> str:
    found = (f"{name} {which}".strip() for name, which in catalogue.readers(one).items())
    return ", ".join(found) or "nobody by a durable"


def _event(kind: type[Any]) -> str:
    where = catalogue.channel(kind)
    way = (
        f"Subject {code(_subject(where))}, written by {' and '.join(where.writers)} "
        f"({where.written}), read by {_readers(where)}."
    )
    shown = f"```json\n{example(kind)}\n```"
    title = f"## {catalogue.tag(kind)}"
    return "\n\n".join([title, source.meaning(kind), way, _fields(kind), shown])


def _part(kind: type[Any]) -> str:
    return f"### {kind.__name__}\n\n{source.meaning(kind)}\n\n{_fields(kind)}"


def _fields(kind: type[Any]) -> str:
    told = source.field_meanings(kind)
    rows = (
        (
            code(one.name),
            in_words(inspect.type_info(one.type)),
            _default(one),
            told.get(one.name, ""),
        )
        for one in msgspec.structs.fields(kind)
    )
    return table(("Field", "Type", "Default", "Meaning"), rows)


def _default(one: msgspec.structs.FieldInfo) -> str:
    if one.required:
        return "required"
    value = one.default_factory() if one.default is msgspec.NODEFAULT else one.default
    if isinstance(value, msgspec.Struct):
        return "its defaults"
    return code(msgspec.json.encode(value).decode())


def in_words(info: inspect.Type) -> str:
    """A type as a reader of JSON calls it."""
    match info:
        case inspect.UnionType(types=types):
            return " or ".join(in_words(one) for one in types)
        case inspect.VarTupleType(item_type=item):
            return f"list of {in_words(item)}"
        case inspect.DictType(key_type=key, value_type=value):
            return f"object of {in_words(key)} to {in_words(value)}"
        case inspect.LiteralType(values=values):
            return ", ".join(code(str(value)) for value in values)
        case inspect.StructType(cls=kind):
            return f"[{kind.__name__}](#{kind.__name__.lower()})"
    names: dict[type[inspect.Type], str] = {
        inspect.StrType: "text",
        inspect.IntType: "integer",
        inspect.FloatType: "number",
        inspect.BoolType: "true or false",
        inspect.NoneType: "null",
        inspect.DateTimeType: "time, ISO 8601",
        inspect.BytesType: "bytes, base64",
    }
    return names[type(info)]


def _streams() -> str:
    head = ("Stream", "Subjects", "Kept", "At most", "When full", "Repeats dropped", "Meaning")
    return table(head, (_stream(one) for one in topology().streams))


def _stream(one: Stream) -> tuple[str, ...]:
    return (
        code(one.name),
        ", ".join(code(subject) for subject in one.subjects),
        _days(one.max_age),
        f"{one.max_bytes // 1024**2} MiB" if one.max_bytes > 0 else "no limit",
        "refuses new ones" if one.discard == "new" else "drops the oldest",
        f"within {one.duplicate_window // 3600} hours"
        if one.duplicate_window >= 3600
        else f"within {one.duplicate_window} seconds",
        STREAMS[one.name],
    )


def _days(seconds: int) -> str:
    return f"{seconds // 86_400} days" if seconds else "no limit"


def _durables() -> str:
    rows = (
        (code(one.name), ", ".join(code(name) for name in one.filters), f"{one.ack_wait} s")
        for one in topology().durables
    )
    return table(("Durable", "Subjects", "Comes again after"), rows)


def _pairs(meanings: dict[str, str]) -> Iterable[tuple[str, str]]:
    return ((code(name), meaning) for name, meaning in meanings.items())
