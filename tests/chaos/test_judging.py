"""The judge has teeth: histories with one thing lost, doubled or left behind, each complained of.

Pure: GitLab, Jira and git are stand-ins with only what the judge looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import msgspec
import pytest

from libs.common import subjects
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import (
    Answered,
    AskedIn,
    ChangesProposed,
    ReviewDone,
    TaskPublished,
    TaskRequested,
)
from libs.common.jetstream.reading import Stored
from services.publisher.markers import marker
from tests.chaos.history import History
from tests.chaos.instant_runner import FINDINGS
from tests.chaos.judging import Remains, Verdict, judged, left_after_the_end
from tests.samples import HEAD, NOW, review_request

REVIEW = review_request(HEAD)
ASK = review_request(
    HEAD, task_id="ask-42-7-n11", kind="ask", asked_in=AskedIn(note_id=11, discussion_id="d")
)
CODING = review_request(
    HEAD, task_id="coding-42-7-n12", kind="coding", asked_in=AskedIn(note_id=12, discussion_id="e")
)
LATER = review_request(
    HEAD, task_id="coding-42-7-n13", kind="coding", asked_in=AskedIn(note_id=13, discussion_id="f")
)
HOOK = "mr.opened-42-7-aaaa-open"
BOT, ALICE = SimpleNamespace(id=1), SimpleNamespace(id=2)
JIRA_BOT = object()


@dataclass
class Branches:
    """Commits of one branch by task id, oldest first."""

    tasks: list[str] = field(default_factory=lambda: [CODING.task_id, LATER.task_id])

    def refs(self) -> list[str]:
        return ["refs/heads/topic"]

    def text(self, *arguments: str) -> str:
        rows = [f"{sha(task_id)} {task_id}" for task_id in self.tasks]
        return "\n".join(rows if "--reverse" in arguments else rows[::-1])


def sha(task_id: str) -> str:
    return f"{task_id}-commit"


class Scene:
    """A run in which all went well: one review, an answer, two commits, an issue."""

    def __init__(self) -> None:
        self.message_ids = [HOOK]
        self.requested = [REVIEW, ASK, CODING, LATER]
        self.ended: dict[str, object] = {
            REVIEW.task_id: ReviewDone(task_id=REVIEW.task_id, head_sha=HEAD, summary="s"),
            ASK.task_id: Answered(task_id=ASK.task_id, answer="a", head_sha=HEAD),
            **{one.task_id: change(one) for one in (CODING, LATER)},
        }
        self.published = {one.task_id: posted(one) for one in self.requested}
        self.branches = Branches()
        self.mr = self._merge_request()
        self.commands = [self._command(one) for one in (ASK, CODING, LATER)]
        self.issue = SimpleNamespace(
            key="PROJ-1",
            comments=[SimpleNamespace(author=JIRA_BOT)],
            status=SimpleNamespace(name="In Review"),
        )
        self.issue_mrs = [SimpleNamespace(source_branch="agent/PROJ-1-add-tax")]
        self.deliveries = [
            SimpleNamespace(id=1, status=202, response_body=f'{{"event_id": "{HOOK}"}}')
        ]
        self.leases: list[str] = []
        self.letters: list[str] = []

    def _merge_request(self) -> SimpleNamespace:
        items = [f"{number:012x}-{number:012x}" for number in range(FINDINGS)]
        bodies = [marker(REVIEW.task_id, item) for item in (*items, "summary")]
        bodies += [marker(one.task_id, "reply") for one in (ASK, CODING, LATER)]
        return SimpleNamespace(
            project_id=42,
            iid=7,
            notes=[SimpleNamespace(author=BOT, body=f"text\n{body}") for body in bodies],
            drafts=[],
            state="opened",
            draft=False,
            head_sha=HEAD,
            target_branch="main",
        )

    def _command(self, request: TaskRequested) -> SimpleNamespace:
        assert request.asked_in is not None
        done = SimpleNamespace(name="white_check_mark", user=BOT)
        note = SimpleNamespace(id=request.asked_in.note_id, awards=[done])
        return SimpleNamespace(mr=self.mr, note=note, text="/copilot do it")

    def judged(self) -> Verdict:
        project = SimpleNamespace(
            id=42, merge_requests={7: self.mr}, repository=self.branches, jobs=()
        )
        gitlab = SimpleNamespace(
            bot=BOT,
            deliveries=self.deliveries,
            world=SimpleNamespace(projects={42: project}),
        )
        world = SimpleNamespace(
            gitlab=gitlab,
            jira=SimpleNamespace(bot=JIRA_BOT),
            project=SimpleNamespace(merge_requests=dict(enumerate(self.issue_mrs))),
            real=None,
        )
        people = SimpleNamespace(commands=self.commands, issues=[self.issue])
        remains = Remains(leases=self.leases, letters=self.letters)
        return judged(world, people, self._history(), remains)

    def _history(self) -> History:
        stored = [
            Stored(subject="x", seq=1, time=NOW, headers={"Nats-Msg-Id": name}, body=b"")
            for name in self.message_ids
        ]
        events = [("requested", one.task_id, one) for one in self.requested]
        events += [("result", *pair) for pair in self.ended.items()]
        events += [("published", *pair) for pair in self.published.items()]
        return History(
            stored,
            [
                Recorded(
                    subject=subjects.build("task", verb, "42", "7", task_id),
                    seq=number,
                    time=NOW,
                    event=event,
                    message_id="",
                    source="",
                )
                for number, (verb, task_id, event) in enumerate(events, start=2)
            ],
        )

    def take_notes(self, item: str) -> None:
        self.mr.notes = [note for note in self.mr.notes if f"item={item}" not in note.body]


def change(request: TaskRequested) -> ChangesProposed:
    return ChangesProposed(
        task_id=request.task_id,
        head_sha=HEAD,
        subject="s",
        summary="s",
        files=("a.py",),
        patch=b"p",
    )


def posted(request: TaskRequested) -> TaskPublished:
    return TaskPublished(
        task_id=request.task_id,
        outcome="posted",
        head_sha=HEAD,
        target_branch="main",
        commit_sha=sha(request.task_id) if request.kind == "coding" else "",
    )


def test_a_run_in_which_all_went_well_is_good():
    verdict = Scene().judged()

    assert verdict.good, str(verdict)
    assert (4, 2) == (verdict.tasks, verdict.commits)


WRONG: list[tuple[str, str, Callable[[Scene], object]]] = []
Break = Callable[[Scene], object]


def wrong(where: str, says: str) -> Callable[[Break], Break]:
    """One thing that is not as it should be, and the complaint that must come of it."""

    def add(function: Break) -> Break:
        WRONG.append((where, says, function))
        return function

    return add


@wrong("lost", "webhook 1: ")
def an_accepted_event_is_not_in_the_log(scene):
    scene.message_ids.clear()


@wrong("lost", f"{REVIEW.task_id}: no result")
def a_task_has_no_end(scene):
    del scene.ended[REVIEW.task_id]


@wrong("lost", f"{ASK.task_id}: no publication")
def an_end_was_never_published(scene):
    del scene.published[ASK.task_id]


@wrong("lost", "42!7: no review of the last head")
def the_last_head_was_never_reviewed(scene):
    event = scene.published[REVIEW.task_id]
    scene.published[REVIEW.task_id] = msgspec.structs.replace(event, outcome="superseded")


@wrong("lost", "42!7: 0 remarks on the last head")
def a_review_is_recorded_and_nowhere_to_be_seen(scene):
    scene.mr.notes.clear()


@wrong("lost", f"42!7: half a review of {HEAD[:16]}: 1 remarks")
def a_remark_is_missing(scene):
    scene.take_notes(f"{1:012x}")


@wrong("lost", "note 11 '/copilot do it': no answer")
def a_reply_is_missing(scene):
    scene.mr.notes = [note for note in scene.mr.notes if ASK.task_id not in note.body]


@wrong("lost", "note 11 '/copilot do it': no task")
def a_command_became_no_task(scene):
    scene.requested.remove(ASK)
    del scene.ended[ASK.task_id], scene.published[ASK.task_id]


@wrong("lost", f"{LATER.task_id}: told {sha(LATER.task_id)}, made None")
def a_commit_is_missing(scene):
    scene.branches.tasks.remove(LATER.task_id)


@wrong("lost", f"{LATER.task_id}: told None, made {sha(LATER.task_id)}")
def a_commit_was_made_that_nobody_was_told_of(scene):
    event = scene.published[LATER.task_id]
    scene.published[LATER.task_id] = msgspec.structs.replace(event, commit_sha="")


@wrong("lost", "the order: n12 came after n13")
def commits_are_not_in_the_order_of_their_commands(scene):
    scene.branches.tasks.reverse()


@wrong("lost", "PROJ-1: no merge requests")
def an_issue_has_no_merge_request(scene):
    scene.issue_mrs.clear()


@wrong("lost", "PROJ-1: is in In Progress")
def an_issue_stays_where_it_was(scene):
    scene.issue.status.name = "In Progress"


@wrong("lost", "dead letter dead.reviewer.mr.opened.42.7.x")
def an_event_was_given_up(scene):
    scene.letters.append("dead.reviewer.mr.opened.42.7.x")


@wrong("doubled", "42!7: 2 x summary")
def a_summary_is_there_twice(scene):
    scene.mr.notes += [note for note in scene.mr.notes if "item=summary" in note.body]


@wrong("doubled", f"2 reviews of {HEAD[:16]} for main")
def one_head_was_reviewed_twice(scene):
    again = msgspec.structs.replace(REVIEW, task_id=REVIEW.task_id[:-1] + "1")
    scene.requested.append(again)
    scene.ended[again.task_id] = scene.ended[REVIEW.task_id]
    scene.published[again.task_id] = posted(again)


@wrong("doubled", f"2 commits of {CODING.task_id}")
def one_command_became_two_commits(scene):
    scene.branches.tasks.append(CODING.task_id)


@wrong("doubled", "PROJ-1: 2 comments")
def an_issue_was_commented_twice(scene):
    scene.issue.comments *= 2


@wrong("left", "42!7: 1 draft notes")
def a_draft_is_left(scene):
    scene.mr.drafts.append("a draft")


@wrong("left", "lease publish.42.7")
def a_lease_is_held_by_nobody(scene):
    scene.leases += ["publish.42.7", "gitlab-poller"]


@wrong("left", "note 12 '/copilot do it': emoji ['eyes', 'white_check_mark']")
def eyes_are_left_on_a_note(scene):
    scene.commands[1].note.awards.append(SimpleNamespace(name="eyes", user=BOT))


@pytest.mark.parametrize(
    ("where", "says", "happen"), WRONG, ids=[happen.__name__ for *_, happen in WRONG]
)
def test_the_judge_complains_of(where, says, happen):
    scene = Scene()
    happen(scene)

    verdict = scene.judged()

    assert not verdict.good
    assert any(says in line for line in getattr(verdict, where)), str(verdict)
    assert says in str(verdict)


def test_a_process_and_a_lease_that_outlive_the_services_are_complained_of():
    assert [] == left_after_the_end([], [])
    assert ["process python -m services.runner run", "lease gitlab-poller after the end"] == (
        left_after_the_end(["python -m services.runner run"], ["gitlab-poller"])
    )
