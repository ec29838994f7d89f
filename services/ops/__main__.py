"""`gca`: operate the system from the command line."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
from pathlib import Path
from typing import Any

from libs.common import telemetry
from libs.common.errors import AgentError
from services.ops import dead_letters, events, forget, nats_users, replay, stats, topology, webhook
from services.ops.doctor import echo
from services.ops.doctor import run as doctor
from services.ops.doctor.situation import MAINTAINER_TOKEN, Situation
from services.ops.places import ROOT, announced, default_root
from services.ops.settings import operators_settings
from services.ops.terminal import terminal
from services.ops.up import up

ON_THE_LOG = {"dead-letters": dead_letters.run, "replay": replay.run, "forget": forget.run}


def parser() -> argparse.ArgumentParser:
    """The command line; each command's help says what it is for."""
    root = argparse.ArgumentParser(prog="gca", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("up", help="run the whole system on this machine")
    run.add_argument("--demo", action="store_true", help="end when the three flows are shown")
    layout = commands.add_parser("topology", help="streams, buckets and consumers in NATS")
    layout.add_argument("action", choices=["apply", "diff"])
    layout.add_argument(
        "--replicas", type=int, help="copies of each stream; default: 3 on a cluster, else 1"
    )
    layout.add_argument("--wait", type=float, default=20, help="seconds to wait for NATS")
    nats_users.add_arguments(
        commands.add_parser("nats-users", help="keys for the users of NATS on Kubernetes")
    )
    history = commands.add_parser("events", help="history of a merge request or an issue")
    history.add_argument("what", metavar="PROJECT!IID or KEY", help="such as 42!7 or PROJ-123")
    history.add_argument("--json", action="store_true", help="one JSON object per line")
    history.add_argument("--follow", action="store_true", help="go on with new events")
    counts = commands.add_parser("stats", help="reviews, answers, code, failures, cost, seconds")
    counts.add_argument("--since", default="7d", help="how far back, such as 12h or 7d")
    counts.add_argument("--json", action="store_true", help="one JSON object")
    dead_letters.add_arguments(
        commands.add_parser("dead-letters", help="what nobody could handle: look, retry, drop")
    )
    replay.add_arguments(
        commands.add_parser("replay", help="what was seen in GitLab and Jira, once more")
    )
    forget.add_arguments(
        commands.add_parser("forget", help="take all about a project out of the log")
    )
    look = commands.add_parser(
        "doctor",
        help="look at everything that is needed",
        epilog=f"Webhooks are for Maintainers to see: set {MAINTAINER_TOKEN}, which is given to no "
        "service, to have them looked at. Exit code 1 when something is broken.",
    )
    look.add_argument("--json", action="store_true", help="one JSON object per line")
    look.add_argument("--project", action="append", default=[], help="id or path; repeatable")
    look.add_argument("--webhook-url", default="", help="address that GitLab must send to")
    look.add_argument("--task", action="store_true", help="send an echo through a real Job")
    look.add_argument("--timeout", type=float, default=5.0, help="seconds for each peer")
    hook = commands.add_parser("webhook", help="send a recorded webhook to ingest")
    hook.add_argument("action", choices=["send"])
    hook.add_argument("file", type=Path, metavar="FILE", help="JSON body of a GitLab webhook")
    hook.add_argument("--url", help="webhook address; default: the running `gca up`")
    return root


async def run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "up":
            return await up(demo_only=arguments.demo)
        case "topology" | "nats-users":
            return await prepare(arguments)
        case "events":
            return await events.run(
                arguments.what,
                situation(),
                terminal(),
                follow_on=arguments.follow,
                as_json=arguments.json,
            )
        case "stats":
            return await stats.run(arguments.since, situation(), terminal(), as_json=arguments.json)
        case "dead-letters" | "replay" | "forget":
            return await ON_THE_LOG[arguments.command](arguments, situation(), terminal())
        case "doctor":
            return await examine(arguments)
        case _:
            return await webhook.send(arguments.file, arguments.url)


async def prepare(arguments: argparse.Namespace) -> int:
    """What is done before the services are there."""
    if arguments.command == "topology":
        return await topology.run(arguments, situation())
    return nats_users.run(arguments.out, arguments.prefix, terminal())


def situation(**options: Any) -> Situation:
    """What there is on this machine."""
    given = operators_settings(ROOT, os.environ)
    return Situation(given=given, running=announced(default_root()), **options)


async def examine(arguments: argparse.Namespace) -> int:
    found = situation(
        webhook_url=arguments.webhook_url,
        projects=tuple(arguments.project),
        seconds=arguments.timeout,
    )
    if arguments.task:
        return await echo.run(found, terminal(), as_json=arguments.json)
    return await doctor.run(found, terminal(), as_json=arguments.json)


def main() -> int:
    """Run one command; errors are one line and exit code 1."""
    telemetry.configure("gca", "WARNING")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    arguments = parser().parse_args()
    try:
        return asyncio.run(run(arguments))
    except AgentError as error:
        sys.stderr.write(f"gca: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read us (`head`, a pager) has seen enough; what Python flushes last goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
