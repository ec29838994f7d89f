from __future__ import annotations

from pathlib import Path

import pytest

from libs.common.errors import SettingsError
from libs.common.settings import load
from services.ingest.settings import Settings

GOOD = {
    "GITLAB_URL": "https://gitlab.test",
    "GITLAB_WEBHOOK_SECRET": "one,two",
    "TASK_DOOR_SECRET": "0123456789abcdef",
}
TOKEN = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q="


def problems(**changed: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(Settings, GOOD | changed)
    return raised.value.problems


def test_what_is_not_set_has_the_documented_default() -> None:
    settings = load(Settings, dict(GOOD))
    assert (settings.host, settings.port) == ("0.0.0.0", 8000)
    assert (settings.task_door_host, settings.task_door_port) == ("127.0.0.1", 8001)
    assert settings.health_default == 8081
    assert settings.keys().secrets == ("one", "two")


def test_secrets_leave_the_environment_and_never_show() -> None:
    environment = GOOD | {"GITLAB_WEBHOOK_SIGNING_TOKEN": TOKEN}
    settings = load(Settings, environment)
    assert set(environment) == {"GITLAB_URL"}
    assert settings.keys().signing_key == b"test" * 8
    assert not any(secret in repr(settings) for secret in ("one,two", TOKEN, "0123456789abcdef"))


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-file\n")
    environment = {n: v for n, v in GOOD.items() if n != "GITLAB_WEBHOOK_SECRET"}
    environment["GITLAB_WEBHOOK_SECRET_FILE"] = str(tmp_path / "secret")
    assert load(Settings, environment).keys().secrets == ("from-file",)


def test_the_signing_token_alone_is_enough() -> None:
    settings = load(
        Settings, GOOD | {"GITLAB_WEBHOOK_SECRET": "", "GITLAB_WEBHOOK_SIGNING_TOKEN": TOKEN}
    )
    assert (settings.keys().secrets, settings.keys().signing_key) == ((), b"test" * 8)


def test_every_missing_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        load(Settings, {"PORT": "http", "GITLAB_WEBHOOK_SIGNING_TOKEN": ""})
    named = {line.partition(":")[0] for line in raised.value.problems}
    assert named == {"GITLAB_URL", "PORT", "TASK_DOOR_SECRET", "GITLAB_WEBHOOK_SECRET"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITLAB_WEBHOOK_SECRET", "one,two,three"),
        ("GITLAB_WEBHOOK_SECRET", " , "),
        ("GITLAB_WEBHOOK_SIGNING_TOKEN", "canary"),
        ("GITLAB_WEBHOOK_SIGNING_TOKEN", "whsec_canary!"),
        ("TASK_DOOR_SECRET", "canary"),
        ("GITLAB_PROJECTS", "42,app"),
        ("GITLAB_URL", "http://gitlab.test"),
        ("GITLAB_URL", "gitlab.test"),
        ("PORT", "65536"),
        ("TASK_DOOR_PORT", "8000"),
        ("HEALTH_PORT", "8001"),
    ],
)
def test_sr_37_a_wrong_value_is_named_and_no_secret_is_shown(name: str, value: str) -> None:
    found = problems(**{name: value})
    assert [line.partition(":")[0] for line in found] == [name]
    assert "canary" not in found[0]


def test_a_wrong_signing_token_is_not_reported_twice() -> None:
    found = problems(GITLAB_WEBHOOK_SECRET="", GITLAB_WEBHOOK_SIGNING_TOKEN="wrong")
    assert [line.partition(":")[0] for line in found] == ["GITLAB_WEBHOOK_SIGNING_TOKEN"]
