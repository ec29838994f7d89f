"""Builds the reconciler of a service that launches Jobs; called by the wirings of such services."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from libs.common.clock import SystemClock
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.removals import on_removal
from libs.common.jetstream.topology import DEDUP, LOCKS
from libs.common.jetstream.unnamed import UnnamedArtifacts
from libs.common.launching.effects import DoorAddress
from libs.common.launching.kubernetes.client import KubernetesClient
from libs.common.launching.kubernetes.launcher import KubernetesLauncher, NoFolders
from libs.common.launching.launches import Launches
from libs.common.launching.local import LocalLauncher
from libs.common.launching.local_folders import LocalFolders
from libs.common.launching.local_steps import LocalSettings, local_steps
from libs.common.launching.protocol import Launch, Launcher
from libs.common.launching.reconciler import Hold, JobsChanged, Policy, Reconciler
from libs.common.launching.settings import JobSettings
from libs.common.launching.slots import KEYS, Slots
from libs.common.launching.state import Step
from libs.common.launching.sweeping import Folders, Sweeper
from libs.common.settings import reveal


def reconciler(
    settings: JobSettings,
    connection: Connection,
    *,
    kinds: Iterable[str],
    source: str,
    policy: Policy,
    hold: Hold | None = None,
) -> Reconciler:
    """Keeps a Job for every open task of `kinds`; `source` names the service in its events.

    `policy` says which tasks nobody needs any more, `hold` which wait for others.
    """
    log, clock = JetStreamLog(connection), SystemClock()
    place = _on_kubernetes(settings, source) if settings.on_kubernetes else _here(settings)
    return Reconciler(
        log=log,
        launcher=place.launcher,
        slots=Slots(JetStreamKeyValue(connection, LOCKS), settings.max_concurrent_tasks),
        launches=Launches(JetStreamKeyValue(connection, DEDUP)),
        clock=clock,
        kinds=frozenset(kinds),
        source=source,
        policy=policy,
        hold=hold,
        jobs_changed=place.on_change,
        slot_freed=functools.partial(on_removal, connection, LOCKS, KEYS),
        sweeper=Sweeper(
            log=log,
            folders=place.folders,
            artifacts=UnnamedArtifacts(connection),
            clock=clock,
        ),
        door=DoorAddress(url=settings.task_door_url, secret=reveal(settings.task_door_secret)),
    )


class Place(NamedTuple):
    """Where Jobs run, what they leave on this machine, and who tells at once when one ended."""

    launcher: Launcher
    folders: Folders
    on_change: JobsChanged | None = None


def _here(settings: JobSettings) -> Place:
    jobs, clones = settings.task_state_dir.resolve(), settings.clone_dir.resolve()
    return Place(
        LocalLauncher(jobs, steps=functools.partial(_steps, settings), clones=clones),
        LocalFolders(jobs, clones),
    )


def _on_kubernetes(settings: JobSettings, source: str) -> Place:
    launcher = KubernetesLauncher(
        KubernetesClient(settings.k8s_namespace),
        settings.pods(source, os.environ),
        clock=SystemClock(),
        patience=timedelta(seconds=settings.k8s_job_start_timeout),
        secrets=[reveal(settings.gitlab_read_token), reveal(settings.task_door_secret)],
    )
    launcher.begin()
    return Place(launcher, NoFolders(), launcher.on_change)


def _steps(settings: JobSettings, launch: Launch) -> list[Step]:
    local = LocalSettings(
        python=sys.executable,
        clones=settings.clone_dir.resolve(),
        environment=os.environ,
        values=settings.of_steps(),
    )
    return local_steps(launch, settings=local, started_at=time.time())
