"""Pages, sizes, deadlines, the CLI's place and environment, settings, the Job's contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from libs.common.errors import SettingsError
from libs.common.events.tasks import Finding, ReviewDone, SkippedFile, TaskFailed
from libs.common.launching.contract import Contract, from_environment, to_environment
from libs.common.settings import load, reveal
from services.runner.cli import cli_environment, find_cli, own_cache, version_warning
from services.runner.deadline import Deadline
from services.runner.fitting import LARGEST, fitted
from services.runner.pages import PAGE_BYTES, page, pages
from services.runner.settings import CloneSettings, RunSettings


def test_a_short_text_is_one_page_as_it_is():
    assert page("a\nb", 1, again="git_diff with ") == "a\nb"


def test_pages_together_are_the_whole_text():
    text = "\n".join(f"line {n}" for n in range(20_000))

    assert "\n".join(pages(text)) == text
    assert all(len(one.encode()) <= PAGE_BYTES for one in pages(text))


def test_a_page_says_how_to_get_the_next():
    text = "\n".join(["x" * 100] * 500)

    first = page(text, 1, again="git_diff with path=a.py, ")

    assert first.endswith("\n(more: call git_diff with path=a.py, page=2, of 3)")
    assert page(text, 3, again="").endswith("x")
    assert page(text, 9, again="") == "There is no page 9; pages are 1 to 3."


def test_no_page_is_larger_than_the_cli_hands_on():
    text = "\n".join(["é" * 50_000] * 50)

    assert all(len(page(text, n + 1, again="x").encode()) < 20_480 for n in range(len(pages(text))))


def big_review(comment: str, count: int = 200, files: int = 0) -> ReviewDone:
    finding = Finding(
        file="a.py",
        side="new",
        line=1,
        end_line=1,
        severity="info",
        comment=comment,
        suggestion=comment,
        suggestion_start=1,
        suggestion_end=1,
    )
    return ReviewDone(
        task_id="t",
        head_sha="a" * 40,
        summary="s",
        findings=(finding,) * count,
        skipped=(SkippedFile(path="p" * 100, why="w" * 60),) * files,
    )


def test_a_result_that_fits_stays_as_it_is():
    review = big_review("short")

    assert fitted(review) is review


@pytest.mark.parametrize("review", [big_review("x" * 6000), big_review("x" * 6000, files=3000)])
def test_a_large_result_is_made_to_fit_without_losing_a_finding(review):
    smaller = fitted(review)

    assert isinstance(smaller, ReviewDone)
    assert len(msgspec.json.encode(smaller)) <= LARGEST
    assert len(smaller.findings) == 200
    assert all(f.suggestion in {None, review.findings[0].suggestion} for f in smaller.findings)


def test_a_failure_always_fits():
    failure = TaskFailed(task_id="t", head_sha="a", reason="model")

    assert fitted(failure) is failure


@pytest.mark.parametrize(
    ("timeout", "work"), [(1800, 1740.0), (600, 570.0), (60, 57.0), (20, 18.0), (2, 1.0)]
)
def test_some_time_is_kept_to_hand_in_the_result(timeout, work):
    assert Deadline.of(0.0, timeout) == Deadline(work=work, end=float(timeout))


def test_the_cli_is_found_where_set_up_puts_it(tmp_path):
    cli = own_cache(tmp_path, tmp_path) / "cli/1.2.3/copilot"
    cli.parent.mkdir(parents=True)
    cli.write_text("")
    cli.chmod(0o755)

    assert find_cli(None, "1.2.3", own_cache(tmp_path, tmp_path)) == cli
    assert find_cli(Path("/opt/copilot"), "1.2.3", tmp_path) == Path("/opt/copilot")


def test_a_missing_cli_is_named_with_the_command_that_brings_it(tmp_path):
    with pytest.raises(SettingsError, match=r"Copilot CLI 1\.2\.3 .* run `make setup`"):
        find_cli(None, "1.2.3", tmp_path)


def test_versions_that_differ_are_both_said():
    warning = version_warning("1.0.102", "1.0.99")

    assert warning is not None
    assert "1.0.102" in warning
    assert "1.0.99" in warning
    assert version_warning("1.0.102", "1.0.102") is None


def test_the_cli_s_environment_is_an_allow_list():
    """SR-18, SR-14."""
    own = {"PATH": "/bin", "LANG": "C", "GITHUB_TOKEN": "x", "HOME": "/root", "AWS_SECRET": "y"}

    environment = cli_environment(own, home=Path("/w/home"), cache=Path("/c"), ca_bundle="/ca.pem")

    assert environment == {
        "PATH": "/bin",
        "LANG": "C",
        "HOME": "/w/home",
        "TMPDIR": "/w/home/tmp",
        "XDG_CACHE_HOME": "/c",
        "NODE_EXTRA_CA_CERTS": "/ca.pem",
        "SSL_CERT_FILE": "/ca.pem",
    }


def test_the_cli_is_told_of_the_operator_s_proxies():
    proxies = {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "localhost", "ALL_PROXY": "x"}

    environment = cli_environment(proxies, home=Path("/h"), cache=None, ca_bundle="")

    assert environment["HTTPS_PROXY"] == "http://proxy:3128"
    assert environment["no_proxy"] == "localhost"
    assert "ALL_PROXY" not in environment


def test_run_needs_someone_to_ask():
    with pytest.raises(SettingsError) as raised:
        load(RunSettings, {})

    [problem] = raised.value.problems
    assert problem.startswith(
        "COPILOT_PROVIDER_BASE_URL: is not set, and neither is GITHUB_TOKEN: set one of them"
    )


def test_all_problems_of_run_are_listed_at_once():
    environment = {
        "COPILOT_PROVIDER_BASE_URL": "http://127.0.0.1:1/v1",
        "COPILOT_CLI_PATH": "/nowhere/copilot",
        "CA_BUNDLE": "/nowhere/ca.pem",
    }

    with pytest.raises(SettingsError) as raised:
        load(RunSettings, environment)

    assert sorted(problem.split(":")[0] for problem in raised.value.problems) == [
        "CA_BUNDLE",
        "COPILOT_CLI_PATH",
        "COPILOT_MODEL",
    ]


def test_clone_needs_its_token_and_takes_it_out_of_the_environment():
    """SR-37."""
    environment = {"GITLAB_READ_TOKEN": "glpat-x"}

    settings = load(CloneSettings, environment)

    assert reveal(settings.gitlab_read_token) == "glpat-x"
    assert environment == {}
    with pytest.raises(SettingsError, match="GITLAB_READ_TOKEN: is not set"):
        load(CloneSettings, {})


@pytest.mark.real
def test_the_runner_loads_neither_nats_nor_gitlab():
    """SR-16, SR-17: it holds no such credential, so it has no use for them."""
    code = "import sys, services.runner.__main__; print({'nats', 'gitlab'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_a_contract_survives_the_environment():
    contract = Contract(
        task_url="http://127.0.0.1:1/tasks/t",
        task_token="secret",
        work_dir=Path("/w"),
        timeout=90,
        started_at=1.5,
        traceparent="00-a-b-01",
        ca_bundle="/ca.pem",
    )

    assert from_environment(to_environment(contract)) == contract


def test_a_contract_lists_what_is_missing_and_wrong():
    with pytest.raises(SettingsError) as raised:
        from_environment({"GCA_TASK_TIMEOUT": "soon", "GCA_TASK_URL": "x"})

    assert [problem.split(" ")[0] for problem in raised.value.problems] == [
        "GCA_TASK_TOKEN",
        "GCA_WORK_DIR",
        "GCA_TASK_TIMEOUT",
    ]
