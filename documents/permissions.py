"""The permissions of NATS users for the chart `nats`, as JSON. Called by `pages`."""

from __future__ import annotations

import json

from libs.common.jetstream import permissions


def page() -> str:
    return json.dumps(permissions.document(), indent=2) + "\n"
