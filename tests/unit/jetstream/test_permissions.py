"""SR-17: the table of permissions says about each service what the rest of the code says.

The real server holds the services to it in `integration/test_nats_permissions*.py`.
"""

from __future__ import annotations

import json
import re

import pytest

from documents.catalogue import CHANNELS
from libs.common import subjects
from libs.common.events import envelope
from libs.common.events.tasks import Limits, Requester, TaskPublished, Write
from libs.common.jetstream import permissions
from libs.common.jetstream.packing import INLINE
from libs.common.jetstream.topology import DURABLES, topology

USERS = {user.name: user for user in permissions.users()}
SERVICES = ("ingest", "reviewer", "coder", "publisher")
_SUBJECT = re.compile(r"[$A-Za-z_]([A-Za-z0-9_$-]*|\*)(\.([A-Za-z0-9_$-]+|\*))*(\.>)?")


def test_names_are_those_of_all_users_each_once():
    assert list(permissions.NAMES) == [user.name for user in permissions.users()]


@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
def test_a_user_has_valid_subjects_each_once_and_none_that_covers_everything(user):
    allowed = user.allowed()
    for subjects_of in (allowed["publish"]["allow"], allowed["subscribe"]["allow"]):
        assert sorted(set(subjects_of)) == subjects_of
        assert [] == [one for one in subjects_of if not _SUBJECT.fullmatch(one)]
        wide = {">", "*", "*.>", "$JS.>", "$JS.API.>", "$KV.>", "_INBOX.>", "$SYS.>", "$O.>"}
        assert set() == wide & set(subjects_of)


@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
def test_nobody_may_remove_a_stream_a_consumer_or_a_message(user):
    removing = [
        one
        for one in user.publish
        if any(word in one for word in ("DELETE", "RESTORE", "SNAPSHOT", "RESET", "PAUSE"))
    ]
    assert [] == removing


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_events_are_published_by_their_writers_and_of_the_services_by_no_other(channel):
    subject = channel.build("a", "b", "c")
    writers = [
        name
        for name in SERVICES
        if any(subjects.covers(allowed, subject) for allowed in USERS[name].publish)
    ]

    assert sorted(channel.writers) == sorted(writers)


def test_the_publisher_that_may_put_no_artifacts_needs_none():
    """Its longest event: three times the findings, texts and addresses as long as can be."""
    ids = tuple(f"{number:040x}" for number in range(3 * Limits().max_findings))
    address = "https://gitlab.example.com/" + 20 * f"{'é' * 255}/"
    longest = TaskPublished(
        task_id="t" * 255,
        outcome="posted",
        head_sha="a" * 64,
        target_branch="é" * 255,
        summary_note_id=2**63,
        discussion_ids=ids,
        web_url=address,
        detail="é" * 1024,
        requester=Requester(name="é" * 255, account_id="a" * 255, rule="é" * 1024),
        commit_sha="a" * 64,
        branch="é" * 255,
        merge_request_iid=2**63,
        writes=(
            *(Write(what="discussion", id=one) for one in ids),
            *(Write(what="jira_transition", id="é" * 255, web_url=address) for _ in range(5)),
        ),
    )

    assert len(envelope.encode(longest)) < INLINE // 2
    assert [] == [one for one in USERS["publisher"].publish if one.startswith("$O.")]


def test_each_durable_is_pulled_by_the_service_of_its_name_alone():
    for durable in DURABLES:
        call = f"$JS.API.CONSUMER.MSG.NEXT.{durable.stream}.{durable.name}"
        assert [durable.name] == [name for name, user in USERS.items() if call in user.publish]


def test_all_that_is_declared_can_be_made_and_read_by_operators():
    declared = topology()
    for stream in declared.streams:
        assert f"$JS.API.STREAM.CREATE.{stream.name}" in USERS["topology"].publish
        assert f"$JS.API.STREAM.MSG.GET.{stream.name}" in USERS["ops"].publish
    for durable in declared.durables:
        made = f"$JS.API.CONSUMER.CREATE.{durable.stream}.{durable.name}"
        assert made in USERS["topology"].publish


def test_inboxes_are_of_one_user_each():
    inboxes = [permissions.inbox(client) for user in USERS.values() for client in user.clients]

    assert len(inboxes) == len(set(inboxes))


def test_the_document_is_what_a_server_reads():
    found = json.loads(json.dumps(permissions.document()))

    assert list(permissions.NAMES) == list(found)
    assert {"publish", "subscribe"} == set(found["ingest"])
    assert ["_INBOX_ingest.>"] == found["ingest"]["subscribe"]["allow"]
