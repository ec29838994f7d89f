"""What a git child process is told, decided without running one."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.common.git.clone import CloneOrder, check_version, clone_merge_request
from libs.common.git.command import Access, GitCall, environment
from libs.common.git.errors import CloneFailed, basic_credentials
from libs.common.git.read import ChangedFile, parse_numstat

TOKEN = "glpat-canary0123456789"
URL = "https://gitlab.example:8443/group/project.git"


def settings_of(access):
    found = environment(GitCall(folder=Path("/x"), arguments=(), what="", access=access))
    count = int(found["GIT_CONFIG_COUNT"])
    return {found[f"GIT_CONFIG_KEY_{at}"]: found[f"GIT_CONFIG_VALUE_{at}"] for at in range(count)}


def test_sr_39_the_token_is_a_header_for_one_host_and_no_redirects():
    settings = settings_of(Access(url=URL, token=TOKEN, ca_bundle="/ca.pem"))

    assert settings["http.https://gitlab.example:8443/.extraHeader"] == (
        f"Authorization: Basic {basic_credentials(TOKEN)}"
    )
    assert settings["http.followRedirects"] == "false"
    assert settings["http.sslCAInfo"] == "/ca.pem"
    assert settings["protocol.allow"] == "never"
    assert [name for name in settings if name.endswith(".allow")] == [
        "protocol.allow",
        "protocol.https.allow",
    ]


def test_sr_39_a_command_without_access_carries_no_credentials():
    assert [name for name in settings_of(None) if name.startswith("http.")] == []


def test_the_environment_is_an_allow_list(monkeypatch):
    monkeypatch.setenv("GITLAB_TOKEN", TOKEN)
    monkeypatch.setenv("GIT_SSH_COMMAND", "evil")

    found = environment(GitCall(folder=Path("/x"), arguments=(), what=""))

    assert TOKEN not in found.values()
    assert {name for name in found if not name.startswith("GIT_")} == {
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
    }
    assert "GIT_SSH_COMMAND" not in found


def test_sr_37_access_does_not_show_its_token():
    access = Access(url=URL, token=TOKEN)
    call = GitCall(folder=Path("/x"), arguments=(), what="", access=access)

    assert TOKEN not in repr(access) + str(access) + repr(call)


@pytest.mark.parametrize(
    "access",
    [
        Access(url="http://127.0.0.1:80/p.git", token=""),
        Access(url="http://[::1]:80/p.git", token=""),
        Access(url="http://localhost/p.git", token=""),
        Access(url="http://gitlab.example/p.git", token="", allow_http=True),
        Access(url="file:///x", token="", allow_file=True),
        Access(url=URL, token=""),
    ],
)
def test_urls_we_talk_to(access):
    assert access.checked() is access


@pytest.mark.parametrize(
    "url",
    [
        "http://gitlab.example/p.git",
        "https://user:pw@gitlab.example/p.git",
        "ssh://git@gitlab.example/p.git",
        "git@gitlab.example:p.git",
        "file:///etc",
        "ext::sh -c evil",
        "--upload-pack=evil",
        "https:///p.git",
        "",
    ],
)
def test_urls_we_refuse(url):
    with pytest.raises(CloneFailed):
        Access(url=url, token=TOKEN).checked()


@pytest.mark.parametrize(
    "changes",
    [
        {"head_sha": "HEAD"},
        {"head_sha": "--upload-pack=evil"},
        {"base_sha": "ab" * 10},
        {"start_sha": "main"},
        {"target_branch": ""},
        {"target_branch": "a:refs/heads/b"},
        {"target_branch": "a b"},
        {"target_branch": "a*"},
        {"target_branch": "a\nb"},
    ],
)
async def test_nothing_from_the_wire_is_an_option_or_a_refspec(tmp_path, changes):
    given = {"head_sha": "ab" * 20, "base_sha": "cd" * 20, "target_branch": "main"} | changes
    folder = tmp_path / "clone"

    with pytest.raises(CloneFailed):
        await clone_merge_request(CloneOrder(folder=folder, clone_url=URL, **given), token=TOKEN)
    assert not folder.exists()


def test_numstat_reads_renames_binaries_and_tabs_in_names():
    raw = (
        b":100644 100644 1111111 2222222 M\0a\tb.py\0"
        b":100644 100644 1111111 2222222 R090\0old.py\0new.py\0"
        b":000000 100644 0000000 2222222 A\0x.bin\0"
    )
    counts = b"3\t1\ta\tb.py\x001\t0\t\0old.py\0new.py\0-\t-\tx.bin\0"

    assert parse_numstat(raw + counts) == [
        ChangedFile(old_path="a\tb.py", new_path="a\tb.py", status="M", added=3, removed=1),
        ChangedFile(old_path="old.py", new_path="new.py", status="R", added=1, removed=0),
        ChangedFile(old_path="x.bin", new_path="x.bin", status="A", added=None, removed=None),
    ]


@pytest.mark.parametrize("output", [b"git version 2.30.9", b"git version 1.8.3.1 (old)"])
def test_a_git_that_ignores_our_settings_is_refused(output):
    with pytest.raises(CloneFailed, match="newer is needed"):
        check_version(output)


@pytest.mark.parametrize(
    "output",
    [b"git version 2.31.0", b"git version 2.39.5 (Apple Git-154)", b"git version 3.0", b"?"],
)
def test_newer_ones_are_fine(output):
    assert check_version(output) is None


def test_numstat_of_nothing_is_nothing():
    assert parse_numstat(b"") == []
