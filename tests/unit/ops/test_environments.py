"""What `gca up` hands to each service, beside its settings."""

from __future__ import annotations

import pytest

from libs.common.launching.contract import PROXIES
from services.ops.environments import OWN, environment

SETTINGS = dict.fromkeys(PROXIES, "http://proxy:3128") | {"PATH": "/bin", "ALL_PROXY": "x"}


@pytest.mark.parametrize("service", OWN)
def test_only_who_starts_jobs_gets_the_proxies_since_they_are_for_the_model(service):
    given = environment(service, SETTINGS, {f"{service}_health": "1"})

    assert {name for name in given if "proxy" in name.lower()} == (
        set(PROXIES) if service in {"reviewer", "coder"} else set()
    )
