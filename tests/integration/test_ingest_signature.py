from __future__ import annotations

import json

from services.ingest.authentication import Keys, sign, signing_key
from tests.integration.ingest_world import AUTHENTIC, SECRET, Hooks, hooks
from tests.unit.ingest.bodies import merge_request

KEY = signing_key("whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=") or b""
BOTH = Keys(secrets=(SECRET,), signing_key=KEY)
BODY = json.dumps(merge_request("open")).encode()


def signed(world: Hooks, body: bytes = BODY, *, age: int = 0) -> dict[str, str]:
    seconds = str(int(world.clock.now().timestamp()) - age)
    return {
        "webhook-id": "delivery-1",
        "webhook-timestamp": seconds,
        "webhook-signature": sign(KEY, "delivery-1", seconds, body),
    }


async def test_a_signed_hook_needs_no_token() -> None:
    async with hooks(keys=Keys(signing_key=KEY)) as world:
        status, _ = await world.send(BODY, signed(world))
        assert status == 202


async def test_sr_01_one_changed_byte_of_a_signed_body_gets_401() -> None:
    async with hooks(keys=BOTH) as world:
        changed = BODY.replace(b'"iid": 7', b'"iid": 8')
        assert changed != BODY
        status, _ = await world.send(changed, signed(world))
        assert (status, world.log.events) == (401, [])


async def test_sr_01_a_wrong_signature_is_not_mended_by_the_right_token() -> None:
    async with hooks(keys=BOTH) as world:
        wrong = signed(world) | {"webhook-signature": "v1,bm90IG91cnM="}
        status, _ = await world.send(BODY, AUTHENTIC | wrong)
        assert (status, world.log.events) == (401, [])


async def test_sr_01_a_signature_we_have_no_key_for_gets_401() -> None:
    async with hooks() as world:
        status, answer = await world.send(BODY, AUTHENTIC | signed(world))
        assert status == 401
        assert "GITLAB_WEBHOOK_SIGNING_TOKEN" in answer["error"]


async def test_an_old_delivery_cannot_be_played_again() -> None:
    async with hooks(keys=BOTH) as world:
        status, _ = await world.send(BODY, signed(world, age=301))
        assert status == 401


async def test_a_hook_that_is_not_signed_yet_still_has_its_token() -> None:
    async with hooks(keys=BOTH) as world:
        assert (await world.send(BODY))[0] == 202
        assert (await world.send(BODY, {}))[0] == 401


async def test_without_secrets_a_hook_must_be_signed() -> None:
    async with hooks(keys=Keys(signing_key=KEY)) as world:
        assert (await world.send(BODY, {"X-Gitlab-Token": ""}))[0] == 401


async def test_sr_01_a_signed_body_that_does_not_unpack_is_not_authentic() -> None:
    async with hooks(keys=BOTH) as world:
        status, _ = await world.send(b"no gzip", signed(world) | {"Content-Encoding": "gzip"})
        assert status == 401
