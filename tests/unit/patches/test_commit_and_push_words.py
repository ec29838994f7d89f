"""A commit's bytes and the words of a refused push, decided without git."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.errors import Permanent, Temporary
from libs.common.git.command import Ended
from libs.common.git.commit import (
    CommitText,
    Signature,
    commit_message,
    commit_object,
    has_task,
    parse_log,
)
from libs.common.git.errors import AuthFailed, RefGone
from libs.common.git.push_errors import (
    MaybePushed,
    MovedBranch,
    ProtectedBranch,
    PushDeclined,
    push_failure,
)

BOT = Signature(name="Copilot Agent", email="bot@example.com")
TASK = "coding-42-7-n1001"
TEXT = CommitText(
    author=BOT,
    when=1_700_000_000,
    subject="Add tax",
    body="Because\tit is due.\n",
    trailers=(("Requested-by", "alice"),),
)
TOKEN = "glpat-canary0123456789"


def changed(**changes):
    return msgspec.structs.replace(TEXT, **changes)


def test_sr_36_a_commit_names_the_bot_the_requester_and_the_task():
    made = commit_object(TEXT, tree="a" * 40, parent="b" * 40, task_id=TASK)

    assert made.decode() == (
        f"tree {'a' * 40}\nparent {'b' * 40}\n"
        "author Copilot Agent <bot@example.com> 1700000000 +0000\n"
        "committer Copilot Agent <bot@example.com> 1700000000 +0000\n"
        "\n"
        "Add tax\n\nBecause it is due.\n\nRequested-by: alice\nGca-Task: coding-42-7-n1001\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        {"body": "x\nGca-Task: other-task\ny"},
        {"body": "x\r  gca-task : other-task"},
        {"body": "x\u2028Gca-Task: other-task"},
        {"body": "x\nG\u200bca-Task: other-task"},
        {"subject": "Gca-Task: other-task"},
        {"subject": "x\n\nGca-Task: other-task"},
        {"trailers": (("Requested-by", "a\nGca-Task: other-task"),)},
        {"trailers": (("x: y\nGca-Task", "other-task"),)},
    ],
)
def test_sr_36_no_words_pass_for_another_task(words):
    message = commit_message(changed(**words), TASK)

    assert has_task(message, TASK)
    assert not has_task(message, "other-task")


@pytest.mark.parametrize("subject", ["", " \n\t", "\u200b"])
def test_a_commit_always_has_a_subject(subject):
    assert commit_message(changed(subject=subject), TASK).startswith("Change files\n\n")


def test_nothing_in_a_message_is_endless_or_unprintable():
    message = commit_message(changed(subject="s" * 500, body="b\x1b[31m\0" * 9000), TASK)

    assert 100 == len(message.splitlines()[0])
    assert len(message) < 11_000
    assert message.replace("\n", "").isprintable()


def test_a_task_is_known_again_below_words_that_people_added():
    assert has_task(f"Add tax\n\nGca-Task: {TASK}\n\nReviewed again.\n", TASK)
    assert not has_task(f"Add tax\n\nGca-Task: {TASK}1\n", TASK)
    assert not has_task(f"Add tax\n\nSee Gca-Task: {TASK}\n", TASK)


def test_an_author_is_read_as_people_write_it():
    assert BOT == Signature.parse("Copilot Agent <bot@example.com>")
    for wrong in ("", "bot", "<bot@example.com>", "Bot <bot>", "B <a@b> <c@d>"):
        with pytest.raises(ValueError, match="Name <name@host>"):
            Signature.parse(wrong)


def test_a_log_is_read_even_with_messages_that_look_like_shas():
    sha, parent, other = "a" * 40, "b" * 40, "c" * 40
    printed = f"{sha} {parent} {other}\0{other}\n\0{parent} \0x\n\0".encode()

    assert [(sha, (parent, other), f"{other}\n"), (parent, (), "x\n")] == [
        (one.sha, one.parents, one.message) for one in parse_log(printed)
    ]


def refused(status="", stderr=""):
    stdout = f"To https://h/p.git\n!\tabc:refs/heads/x\t{status}\nDone\n" if status else ""
    ended = Ended(code=1, stdout=stdout.encode(), stderr=stderr.encode())
    return push_failure(ended, what="push to x", secrets=(TOKEN,))


@pytest.mark.parametrize(
    ("status", "stderr", "kind"),
    [
        ("[rejected] (stale info)", "", MovedBranch),
        ("[rejected] (fetch first)", "", MovedBranch),
        ("[rejected] (non-fast-forward)", "", MovedBranch),
        ("[remote rejected] (failed to update ref)", "", MovedBranch),
        ("[remote rejected] (incorrect old value provided)", "", MovedBranch),
        ("[remote rejected] (reference already exists)", "", MovedBranch),
        (
            "[remote rejected] (cannot lock ref 'refs/heads/x')",
            "remote: error: 'refs/heads/x/y' exists; cannot create 'refs/heads/x'",
            PushDeclined,
        ),
        (
            "[remote rejected] (pre-receive hook declined)",
            "remote: GitLab: You are not allowed to push code to protected branches.",
            ProtectedBranch,
        ),
        (
            "[remote rejected] (pre-receive hook declined)",
            "remote: GitLab: Commit message does not follow the pattern",
            PushDeclined,
        ),
        ("[remote failure] (remote failed to report status)", "", MaybePushed),
        ("", "fatal: the receiving end does not support push options", PushDeclined),
        ("", "fatal: Authentication failed for 'https://h/p.git/'", AuthFailed),
        ("", "fatal: unable to access 'x': The requested URL returned error: 403", AuthFailed),
        ("", "fatal: repository 'https://h/p.git/' not found", RefGone),
        ("", "fatal: unable to access 'x': The requested URL returned error: 502", MaybePushed),
        ("", "error: RPC failed; curl 56 Recv failure\nfatal: early EOF", MaybePushed),
        ("", "fatal: something new", MaybePushed),
        ("", "", MaybePushed),
    ],
)
def test_sr_35_what_a_server_says_to_a_push_is_a_decision(status, stderr, kind):
    error = refused(status, stderr)

    assert kind is type(error)
    assert isinstance(error, Temporary if kind is MaybePushed else Permanent)


def test_the_server_s_own_words_are_kept_without_decoration():
    words = "remote: \nremote: ====\nremote: GitLab: You may not.\nremote: Ask Bob.\nremote: ====\n"
    error = refused("[remote rejected] (pre-receive hook declined)", words)

    assert "You may not. Ask Bob." == error.said
    assert "push to x: GitLab declined it: You may not. Ask Bob." == str(error)


def test_a_refused_token_names_the_publisher_s_setting():
    assert "GITLAB_TOKEN (write_repository)" in str(refused("", "fatal: Authentication failed"))


def test_sr_37_a_server_that_echoes_the_token_does_not_reach_the_error():
    for status in ("[remote rejected] (pre-receive hook declined)", ""):
        error = refused(status, f"remote: you sent {TOKEN}\nfatal: {TOKEN} is bad")
        assert TOKEN not in str(error) + repr(error) + getattr(error, "said", "")
