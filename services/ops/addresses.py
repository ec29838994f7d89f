"""What `gca up` makes itself: addresses, ports, secrets; and what it tells other commands of them.

Called by `up`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from services.ops import environments
from services.ops.places import Addresses, Places
from services.ops.ports import Ports, preferred_port

ANY_HOST = "0.0.0.0"  # noqa: S104  # a GitLab elsewhere must reach the webhook


def made(
    places: Places, ports: Ports, nats_url: str, settings: Mapping[str, str], *, real: bool
) -> dict[str, str]:
    """Settings of our own making, by name; `real` when GitLab is the operator's.

    Raises `SettingsError` for a port that is none.
    """
    port = ports.take(preferred_port(settings, "PORT", 8000))
    door = ports.take(preferred_port(settings, "TASK_DOOR_PORT", 8001))
    found = {
        "NATS_URL": nats_url,
        "PORT": str(port),
        "HOST": settings.get("HOST") or (ANY_HOST if real else "127.0.0.1"),
        "TASK_DOOR_PORT": str(door),
        "TASK_DOOR_HOST": "127.0.0.1",
        "TASK_DOOR_URL": f"http://127.0.0.1:{door}",
        "TASK_DOOR_SECRET": places.secret("task-door"),
        "TASK_STATE_DIR": str(places.tasks),
        "CLONE_DIR": str(places.clones),
        "GITLAB_READ_TOKEN": environments.read_token(settings),
        "webhook_url": f"http://127.0.0.1:{port}/webhook",
    }
    if not real:
        found["GITLAB_WEBHOOK_SECRET"] = places.secret("webhook")
    for name, health in environments.HEALTH_PORTS.items():
        found[f"{name}_health"] = str(ports.take(health))
    return found


def announcement(
    own: Mapping[str, str], given: Mapping[str, str], simulated: Mapping[str, str]
) -> Addresses:
    """What other commands need; `simulated` are the settings of peers that we brought."""
    secret = own.get("GITLAB_WEBHOOK_SECRET") or given.get("GITLAB_WEBHOOK_SECRET", "")
    return Addresses(
        pid=os.getpid(),
        nats_url=own["NATS_URL"],
        webhook_url=own["webhook_url"],
        webhook_secret=secret.split(",")[0],
        settings=dict(simulated),
        health={name: health_url(own, name) for name in environments.SERVICES},
    )


def health_url(own: Mapping[str, str], service: str) -> str:
    return f"http://127.0.0.1:{own[f'{service}_health']}"
