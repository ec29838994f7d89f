"""Settings: every problem at once, and no secret left behind."""

from __future__ import annotations

import pytest
from pydantic import Field, SecretStr

from libs.common.errors import SettingsError
from libs.common.settings import ProjectSettings, load, reveal


class Example(ProjectSettings):
    """A service's settings."""

    example_token: SecretStr = Field(description="A token.")
    example_count: int = Field(default=1, ge=1, description="A number.")


GOOD = {"GITLAB_URL": "https://gitlab.test/", "EXAMPLE_TOKEN": "canary-token"}


def problems_of(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Example, dict(environ))
    return caught.value.problems


def test_every_problem_is_listed_at_once():
    found = problems_of(
        {"GITLAB_URL": "http://gitlab.test", "EXAMPLE_COUNT": "0", "CA_BUNDLE": "/no/such/file"}
    )

    names = [line.split(":")[0] for line in found]
    assert ["CA_BUNDLE", "GITLAB_URL", "EXAMPLE_TOKEN", "EXAMPLE_COUNT"] == names


@pytest.mark.parametrize("address", ["gitlab.test", "ftp://gitlab.test", "https://", "http://x:y"])
def test_an_address_that_is_none_is_refused(address):
    [line] = problems_of(GOOD | {"GITLAB_URL": address})

    assert "GITLAB_URL: must be an address such as https://host.example.com" == line


@pytest.mark.parametrize("address", ["http://127.0.0.1:8929", "http://localhost", "http://[::1]:1"])
def test_plain_http_is_for_loopback(address):
    assert address == load(Example, GOOD | {"GITLAB_URL": address}).gitlab_url


def test_plain_http_elsewhere_needs_the_operators_word():
    environ = GOOD | {"GITLAB_URL": "http://gitlab.test", "ALLOW_HTTP_GITLAB": "true"}

    assert "http://gitlab.test" == load(Example, environ).gitlab_url


def test_sr_37_a_wrong_value_is_not_repeated_in_the_problem():
    lines = problems_of(GOOD | {"EXAMPLE_COUNT": "canary-value"})

    assert "canary" not in "".join(lines)


def test_sr_37_secrets_are_taken_out_of_the_environment_and_hidden_in_repr():
    environ = dict(GOOD)

    loaded = load(Example, environ)

    assert {"GITLAB_URL": "https://gitlab.test/"} == environ
    assert "canary-token" == reveal(loaded.example_token)
    assert "canary" not in repr(loaded)


def test_a_secret_can_come_from_a_file(tmp_path):
    file = tmp_path / "token"
    file.write_text("canary-token\n", encoding="utf-8")

    loaded = load(Example, {"GITLAB_URL": "https://g.test", "EXAMPLE_TOKEN_FILE": str(file)})

    assert "canary-token" == reveal(loaded.example_token)


def test_a_secret_file_that_cannot_be_read_is_a_problem_of_its_own():
    lines = problems_of({"GITLAB_URL": "https://g.test", "EXAMPLE_TOKEN_FILE": "/no/such"})

    assert any(line.startswith("EXAMPLE_TOKEN_FILE: cannot read") for line in lines)


def test_projects_are_separated_by_commas_and_empty_means_not_set():
    loaded = load(Example, GOOD | {"GITLAB_PROJECTS": " 42, group/app ,", "EXAMPLE_COUNT": ""})

    assert ("42", "group/app") == loaded.gitlab_projects
    assert 1 == loaded.example_count
