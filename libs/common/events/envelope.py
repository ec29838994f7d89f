"""The envelope: CloudEvents names in NATS headers, the event alone in the body.

Written by whoever appends, read by the consumer loop and by history.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from libs.common.errors import Permanent
from libs.common.events.facts import Event, Fact
from libs.common.events.tasks import TaskEvent

AnyEvent = Fact | TaskEvent
_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_ENCODER = msgspec.json.Encoder()

MESSAGE_ID = "Nats-Msg-Id"
CE_ID = "ce-id"
CE_TYPE = "ce-type"
CE_SOURCE = "ce-source"
CE_TIME = "ce-time"
TRACEPARENT = "traceparent"
CAUSATION = "gca-causation-id"
REPLAY_OF = "gca-replay-of"


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way into the log.

    `message_id` names the observation: the log drops a second one of the same name within its
    duplicate window. `causation_id` is the message id of the event this one follows from.
    """

    subject: str
    event: AnyEvent
    message_id: str
    source: str
    time: datetime
    causation_id: str = ""
    traceparent: str = ""
    replay_of: str = ""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event read from the log; `seq` is its place in the stream, `time` when it was appended."""

    subject: str
    seq: int
    time: datetime
    event: AnyEvent
    message_id: str = ""
    source: str = ""
    causation_id: str = ""
    traceparent: str = ""
    replay_of: str = ""


def event_type(event: Event) -> str:
    """The tag that names the event's type and version, such as `mr.opened.v1`."""
    return str(type(event).__struct_config__.tag)


def encode(event: AnyEvent) -> bytes:
    return _ENCODER.encode(event)


def decode(body: bytes) -> AnyEvent:
    """The event in `body`; raises `Permanent` when it is none we know."""
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        # Nested too deeply is no bug of a handler: whoever reads history must be able to skip it.
        raise Permanent(f"not an event of this version: {error}") from None


def headers(new: NewEvent) -> dict[str, str]:
    """The NATS headers of an event; empty ones are left out."""
    values = {
        MESSAGE_ID: new.message_id,
        CE_ID: new.message_id,
        CE_TYPE: event_type(new.event),
        CE_SOURCE: new.source,
        CE_TIME: new.time.astimezone(UTC).isoformat(),
        TRACEPARENT: new.traceparent,
        CAUSATION: new.causation_id,
        REPLAY_OF: new.replay_of,
    }
    return {name: value for name, value in values.items() if value}


def recorded(
    subject: str, seq: int, time: datetime, body: bytes, found: dict[str, str] | None
) -> Recorded:
    """What the log holds at `seq`; raises `Permanent` on a body that cannot be read."""
    given = found or {}
    return Recorded(
        subject=subject,
        seq=seq,
        time=time,
        event=decode(body),
        message_id=given.get(CE_ID, ""),
        source=given.get(CE_SOURCE, ""),
        causation_id=given.get(CAUSATION, ""),
        traceparent=given.get(TRACEPARENT, ""),
        replay_of=given.get(REPLAY_OF, ""),
    )
