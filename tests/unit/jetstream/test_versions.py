from __future__ import annotations

import pytest

from libs.common.jetstream.versions import too_old


@pytest.mark.parametrize("version", ["2.10.29", "v2.9.0", "1.4.1", "2.10.0-RC.1"])
def test_a_server_without_lifetimes_of_messages_is_too_old(version):
    said = too_old(version)

    assert said == f"nats-server {version} is too old, 2.11 or newer is needed"


@pytest.mark.parametrize("version", ["2.11.0", "2.15.1", "2.16.0-preview.1", "v3.0.0"])
def test_newer_servers_will_do(version):
    assert too_old(version) is None


@pytest.mark.parametrize("version", ["", "development", "x.y.z"])
def test_a_version_that_is_no_number_is_let_through(version):
    assert too_old(version) is None
