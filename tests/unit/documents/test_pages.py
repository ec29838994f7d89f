"""The generated documents are those of the code: what differs is said, and what is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from documents import catalogue, configuration, events, pages, source
from documents.__main__ import main
from documents.settings_classes import SERVICES, STEPS, settings
from libs.common import subjects
from libs.common.events import envelope
from libs.common.events.envelope import NewEvent
from libs.common.events.facts import MrClosed
from libs.common.jetstream.topology import topology
from libs.common.metrics import METRICS
from tests.fakes.clock import FakeClock

ROOT = Path(__file__).parents[3]
MADE = pages.made()


def test_the_documents_in_the_repository_are_those_of_the_code():
    assert pages.stale(ROOT, MADE) == [], "run `make docs`"


def test_what_differs_or_is_missing_is_named_and_written_and_nothing_else(tmp_path, capsys):
    pages.write(tmp_path, MADE)
    (tmp_path / "docs/events.md").write_text("old")
    (tmp_path / "docs/metrics.md").unlink()

    assert main(["--check"], tmp_path) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in told] == ["docs/events.md", "docs/metrics.md"]
    assert (tmp_path / "docs/events.md").read_text() == "old"

    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0


@pytest.mark.real
def test_another_process_writes_the_same_bytes(tmp_path):
    """Nothing depends on the order of a set, the machine's settings or the terminal."""
    program = (
        "import sys, pathlib; from documents import pages; "
        "pages.write(pathlib.Path(sys.argv[1]), pages.made())"
    )
    other = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "1", "TASK_TIMEOUT": "77", "LANG": "C"}
    subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, env=other, check=True)

    assert {path: (tmp_path / path).read_text(encoding="utf-8") for path in MADE} == MADE


def test_every_setting_of_every_process_has_its_row():
    page = MADE["docs/configuration.md"]
    fields = {
        name.upper() for kind in (*SERVICES.values(), *STEPS.values()) for name in kind.model_fields
    }

    rows = re.findall(r"^\| `([A-Z0-9_]+)` \|", page, re.MULTILINE)
    assert fields - set(rows) == set()
    assert len(rows) == len(set(rows))


def test_a_setting_has_readers_and_a_meaning():
    assert [one.name for one in settings() if not one.readers or not one.meaning] == []


def test_every_service_s_settings_are_read():
    folders = {path.parent.name for path in (ROOT / "services").glob("*/settings.py")}

    assert folders - {"ops", "runner"} == set(SERVICES)


def test_secrets_are_marked_and_the_steps_read_only_what_they_are_handed():
    """SR-16: the table says the same as the contract of Jobs."""
    told = {one.name: one for one in settings()}

    secret = {name for name, one in told.items() if one.secret}
    assert secret >= {"GITLAB_TOKEN", "GITLAB_READ_TOKEN", "GITHUB_TOKEN", "TASK_DOOR_SECRET"}
    assert "step run" not in told["GITLAB_READ_TOKEN"].readers
    assert "step clone" not in told["COPILOT_PROVIDER_API_KEY"].readers
    assert told["GITLAB_TOKEN"].readers == ("publisher",)


def test_every_variable_of_ours_in_the_code_is_explained():
    named = {
        name
        for folder in ("libs", "services")
        for file in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"\bGCA_[A-Z_]+\b", file.read_text(encoding="utf-8"))
    }

    assert named - {*configuration.OTHER, *configuration.TOLD} == set()


def test_every_event_has_one_channel_and_every_channel_an_event():
    assert {catalogue.channel(kind) for kind in catalogue.kinds()} == set(catalogue.CHANNELS)


def test_a_channel_s_address_is_the_subject_that_the_code_builds():
    assert [one.address for one in catalogue.CHANNELS][:2] == [
        "mr.opened.{project_id}.{iid}.{sha16}",
        "mr.closed.{project_id}.{iid}.{state}",
    ]
    builders = {
        value
        for name, value in vars(subjects).items()
        if name.startswith(("mr_", "task_", "note_", "jira_"))
    }
    assert {one.build for one in catalogue.CHANNELS} == builders


def test_events_are_made_where_the_page_says_that_they_are_written():
    """The runner's results are written by ingest's task door; two services have a reconciler."""
    written_by = {
        "services/runner": {"ingest"},
        "libs/common/launching": {"reviewer", "coder"},
        **{f"services/{name}": {name} for name in SERVICES},
    }
    for one in catalogue.CHANNELS:
        makers = {m for kind in catalogue.kinds_in(one) for m in source.makers(kind.__name__, ROOT)}
        writers = {writer for maker in makers for writer in written_by.get(maker, ())}
        assert writers == set(one.writers), one.name


def test_every_header_and_every_stream_is_explained():
    clock = FakeClock()
    full = NewEvent(
        subject="mr.closed.1.2.closed",
        event=MrClosed(project_id=1, iid=2, state="closed"),
        message_id="m",
        source="s",
        time=clock.now(),
        causation_id="c",
        traceparent="t",
        replay_of="r",
    )

    assert set(events.HEADERS) == set(envelope.headers(full))
    assert set(events.STREAMS) == {stream.name for stream in topology().streams}


def test_a_field_s_docstring_is_found_also_where_it_is_inherited():
    page = MADE["docs/events.md"]

    assert '| `old_sha` | text | `""` | The head before this one' in page
    assert "| `task_id` | text | required |" in page
    assert "| `position` | [Position](#position) or null |" in page


def test_every_metric_has_its_row():
    rows = re.findall(r"^\| `(gca_\w+)` \|", MADE["docs/metrics.md"], re.MULTILINE)

    assert rows == [metric.shown for metric in METRICS]


@pytest.mark.parametrize("path", [path for path in MADE if path.endswith(".md")])
def test_every_row_of_a_table_has_as_many_cells_as_its_head(path):
    widths: list[int] = []
    for line in MADE[path].splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert cells in {0, widths[-1]} if widths and widths[-1] and cells else True, line
        widths.append(cells)
