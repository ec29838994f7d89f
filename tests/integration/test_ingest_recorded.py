"""Bodies that real servers sent, through the real handler: each 2xx, and exactly what it means."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from libs.common.events.envelope import event_type
from libs.common.events.facts import MrClosed, MrOpened
from tests.integration.ingest_world import SECRET, hooks

DATA = Path(__file__).parents[3] / "shared" / "data"
MISSING = "../shared/data is not here: the recorded webhooks are not tested"
HEADER = {
    "merge_request": "Merge Request Hook",
    "note": "Note Hook",
    "push": "Push Hook",
    "tag_push": "Tag Push Hook",
    "emoji": "Emoji Hook",
    "release": "Release Hook",
}
WHY = {"pushed": "push", "close": "closed", "merge": "merged"}


def expected() -> list[dict[str, str]]:
    if not DATA.is_dir():
        return []
    with (DATA / "expected.tsv").open(encoding="utf-8") as table:
        return list(csv.DictReader(table, delimiter="\t"))


@pytest.mark.skipif(not DATA.is_dir(), reason=MISSING)
def test_every_recorded_body_has_its_row() -> None:
    found = {str(path.relative_to(DATA)) for path in DATA.glob("webhooks/*/*.json")}
    bodies = {name for name in found if not Path(name).name.startswith("headers")}
    assert {row["body"] for row in expected()} == bodies


@pytest.mark.skipif(not DATA.is_dir(), reason=MISSING)
@pytest.mark.parametrize("row", expected(), ids=lambda row: row["body"])
async def test_a_recorded_body_gives_exactly_its_events(row: dict[str, str]) -> None:
    body = (DATA / row["body"]).read_bytes()
    headers = {"X-Gitlab-Token": SECRET, "X-Gitlab-Event": HEADER[row["kind"]]}
    wanted = row["event (with every project allowed)"]
    async with hooks() as world:
        statuses = [(await world.send(body, headers))[0] for _ in range(2)]
        if wanted == "-":
            assert (statuses, world.log.events) == ([200, 200], [])
            return
        assert statuses == [202, 202]
        (event,) = [recorded.event for recorded in world.log.events]
        assert isinstance(event, MrOpened | MrClosed)
        found = event.why if isinstance(event, MrOpened) else event.state
        assert (event_type(event), found) == (f"{wanted}.v1", WHY.get(row["why"], row["why"]))
        attributes = json.loads(body)["object_attributes"]
        assert event.iid == attributes["iid"]
        if isinstance(event, MrOpened):
            assert event.head_sha == attributes["last_commit"]["id"]
