"""`gca topology apply|diff`: make NATS hold the streams, buckets and consumers we declare."""

from __future__ import annotations

import argparse
import sys

from libs.common.jetstream.apply import apply, diff
from services.ops.declared import declared
from services.ops.doctor.situation import Situation
from services.ops.opened import opened_log


async def run(given: argparse.Namespace, situation: Situation) -> int:
    """0 when all is as declared; `diff` answers 1 when something is not."""
    work = apply if given.action == "apply" else diff
    # By the client's name NATS tells its inboxes apart: applying has a user of its own.
    client = "gca-topology" if given.action == "apply" else "gca"
    wanted = declared(situation.given)
    async with opened_log(situation, client, patience=given.wait) as connection:
        changes = await work(connection, wanted, replicas=given.replicas)
    for change in changes:
        sys.stdout.write(f"{change}\n")
    if not changes:
        sys.stdout.write("the topology is as declared\n")
    return 1 if changes and given.action == "diff" else 0
