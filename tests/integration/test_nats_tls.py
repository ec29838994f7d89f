"""NATS behind TLS with an authority of the operator's own (CA_BUNDLE), and what can be wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs

from libs.common.errors import SettingsError, Temporary
from libs.common.jetstream.access import Access
from libs.common.jetstream.connecting import connected
from tests.fixtures.nats import never_closed
from tests.fixtures.ports import free_port
from tests.integration.nats_tls import Guarded
from tests.integration.test_bad_input_nats_away import SETTINGS, said, start

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


@pytest.fixture
async def server(authority: trustme.CA, tmp_path: Path) -> AsyncIterator[Guarded]:
    store = tmp_path / "nats"
    store.mkdir()
    server = Guarded(store, port=free_port())
    server.certify(authority, "127.0.0.1")
    await server.start()
    yield server
    await server.kill()


async def refused(url: str, access: Access) -> str:
    with pytest.raises((Temporary, SettingsError)) as caught:
        async with connected(url, name="t", on_closed=never_closed, access=access, patience=1.5):
            pass
    return str(caught.value)


async def test_an_authority_of_ones_own_is_trusted_also_after_a_restart(
    server: Guarded, bundle: Path
) -> None:
    access = Access(ca_bundle=bundle)
    async with connected(server.url, name="t", on_closed=never_closed, access=access) as connection:
        again = connection.next_reconnect
        await server.kill()
        await server.start()
        async with asyncio.timeout(20):
            await again.wait()
        assert not connection.lacks_tls
        assert await connection.api("INFO")


async def test_a_certificate_that_nobody_vouches_for_is_refused_with_the_setting(
    server: Guarded,
) -> None:
    with capture_logs() as lines:
        text = await refused(server.url, Access())

    assert f"NATS at {server.url} is not reachable: its certificate is not trusted" in text
    assert "see CA_BUNDLE: unable to get local issuer certificate" in text
    assert any("see CA_BUNDLE" in line["event"] for line in lines)


async def test_a_certificate_of_another_host_is_refused(
    server: Guarded, authority: trustme.CA, bundle: Path
) -> None:
    await server.kill()
    server.certify(authority, "nats.example.com")
    await server.start()

    text = await refused(server.url, Access(ca_bundle=bundle))

    assert "its certificate is not trusted" in text
    assert "'127.0.0.1'" in text


async def test_a_bundle_without_certificates_is_named(server: Guarded, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")

    text = await refused(server.url, Access(ca_bundle=empty))

    assert "CA_BUNDLE: must be a readable file of certificates in PEM form" in text


async def test_sr_37_an_address_with_tls_is_never_served_without(server: Guarded) -> None:
    """Else whoever sits between could take TLS away: the greeting comes before it."""
    await server.kill()
    server.guarded = False
    await server.start()

    text = await refused(server.url, Access())

    assert text.startswith(f"NATS_URL: {server.url} asks for TLS and the server there speaks none")


async def test_a_process_whose_server_comes_back_without_tls_is_told_to_end(
    server: Guarded, bundle: Path
) -> None:
    told = asyncio.Event()
    access = Access(ca_bundle=bundle)
    async with connected(server.url, name="t", on_closed=told.set, access=access):
        await server.kill()
        server.guarded = False
        await server.start()
        async with asyncio.timeout(20):
            await told.wait()


OWN = {
    "ingest": {"GITLAB_WEBHOOK_SECRET": "0123456789abcdef", "PORT": "0", "TASK_DOOR_PORT": "0"},
    "coder": {},
}


@pytest.mark.parametrize("service", [*SETTINGS, *OWN])
async def test_every_service_takes_its_authorities_from_ca_bundle(
    tmp_path: Path, server: Guarded, bundle: Path, service: str
) -> None:
    process = await start(
        service,
        tmp_path,
        NATS_URL=server.url,
        CA_BUNDLE=str(bundle),
        **(SETTINGS["reviewer"] | OWN.get(service, {})),
        HEALTH_PORT=str(free_port()),
    )
    try:
        assert json.loads(await said(process, "connected to NATS"))["url"] == server.url
    finally:
        process.kill()
        await process.communicate()
