"""What must be true at the end of a run: nothing lost, nothing twice, nothing left behind.

`judge` reads the log, `judged` compares what GitLab, Jira and git have now with what people did:
pure, and tried in `test_judging` on histories with something lost. It knows the product's events
and hidden markers, and nothing of how they are made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from libs.common import subjects
from libs.common.errors import AgentError
from libs.common.events.tasks import Refused
from libs.common.jetstream import reading
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.topology import DEAD_LETTERS, DURABLES, EVENTS, LOCKS
from tests.chaos.history import History, command_of, note_of, read_history
from tests.chaos.instant_runner import FINDINGS
from tests.chaos.people import Command, People
from tests.chaos.world import World
from tests.simulators.gitlab import MergeRequest, Note, Project
from tests.simulators.jira import Issue

_MARKER = re.compile(r"^<!-- gca:v1 task=(\S+) item=(\S+) -->\r?$", re.MULTILINE)
_FINDING = re.compile(r"[0-9a-f]{12}-[0-9a-f]{12}")
_REVIEW = re.compile(r"review-\d+-\d+-([0-9a-f]{16})-(.+)")
_TRAILER = "%H %(trailers:key=Gca-Task,valueonly,separator=%x20)"


@dataclass
class Verdict:
    """Lines that say what is wrong; all empty is the proof."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Processes, leases, drafts, Jobs that nobody needs."""
    events: int = 0
    tasks: int = 0
    commits: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Of tasks, by kind: `review posted` and so on."""

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.left)

    def __str__(self) -> str:
        wrong = [("LOST", self.lost), ("DOUBLED", self.doubled), ("LEFT", self.left)]
        return "\n".join(f"{word}: {line}" for word, lines in wrong for line in lines)


async def unfinished(world: World) -> str:
    """Why it cannot be judged yet, in a few words; empty when all is at rest."""
    try:
        for durable in DURABLES:
            path = f"{durable.stream}.{durable.name}"
            info = await world.connection.read(f"CONSUMER.INFO.{path}")
            waiting = info["num_pending"], info["num_ack_pending"]
            if any(waiting):
                return f"{durable.name} has {waiting[0]} pending and {waiting[1]} in hand"
        names = await reading.subjects(world.connection, EVENTS, ["task.>"])
    except (AgentError, KeyError) as error:
        return f"NATS: {error}"
    tasks: dict[str, set[str]] = {"requested": set(), "result": set(), "published": set()}
    for name in names:
        tasks[name.split(".")[1]].add(subjects.last_token(name))
    for word in ("result", "published"):
        if without := tasks["requested"] - tasks[word]:
            return f"{len(without)} tasks without {word}, such as {min(without)}"
    jobs = await world.launcher.jobs()
    return f"{len(jobs)} Jobs are there, such as {jobs[0].task_id}" if jobs else ""


async def events(world: World) -> int:
    """How many events the log has; -1 while NATS is away."""
    try:
        return int((await world.connection.read(f"STREAM.INFO.{EVENTS}"))["state"]["last_seq"])
    except AgentError:
        return -1


@dataclass(frozen=True, kw_only=True)
class Remains:
    """What should be gone by now: keys of leases, subjects of dead letters."""

    leases: Iterable[str] = ()
    letters: Iterable[str] = ()


async def judge(world: World, people: People) -> Verdict:
    """Look at everything while the services still run."""
    history = await read_history(world)
    held = await JetStreamKeyValue(world.connection, LOCKS).keys()
    letters = await reading.subjects(world.connection, DEAD_LETTERS, [">"])
    return judged(world, people, history, Remains(leases=held, letters=letters))


def judged(world: World, people: People, history: History, remains: Remains) -> Verdict:
    """Pure: only what GitLab, Jira and git of `world` have is looked at."""
    verdict = Verdict(events=history.length, tasks=len(history.requested))
    for task_id, event in history.published.items():
        verdict.outcomes[f"{history.request(task_id).kind} {event.outcome}"] += 1
    _judge_deliveries(world, history, verdict)
    for mr in _merge_requests(world):
        _judge_notes(world, mr, verdict)
        _judge_reviews(mr, history, verdict)
        if mr.drafts:
            verdict.left.append(f"{_name(mr)}: {len(mr.drafts)} draft notes")
    for command in people.commands:
        _judge_command(world, command, history, verdict)
    for project in world.gitlab.world.projects.values():
        _judge_commits(project, history, verdict)
    for issue in people.issues:
        _judge_issue(world, issue, verdict)
    _judge_remains(remains, verdict)
    return verdict


def _merge_requests(world: World) -> Iterator[MergeRequest]:
    for project in world.gitlab.world.projects.values():
        if project is not world.real:
            yield from project.merge_requests.values()


def _name(mr: MergeRequest) -> str:
    return f"{mr.project_id}!{mr.iid}"


def _judge_deliveries(world: World, history: History, verdict: Verdict) -> None:
    """What was answered 202 is in the log."""
    for delivery in world.gitlab.deliveries:
        if delivery.status == 202:
            found = re.search(r'"event_id":\s*"([^"]+)"', delivery.response_body)
            if found is None or found[1] not in history.message_ids:
                verdict.lost.append(f"webhook {delivery.id}: {delivery.response_body[:200]}")
    for kind, ended in (("result", history.ended), ("publication", history.published)):
        verdict.lost += [f"{t}: no {kind}" for t in sorted(history.requested.keys() - ended.keys())]


def markers(notes: Iterable[Note], author: int) -> list[tuple[str, str]]:
    """Task id and item of every note by this user."""
    ours = (note.body for note in notes if note.author.id == author)
    return [(found[1], found[2]) for body in ours for found in _MARKER.finditer(body)]


def _judge_notes(world: World, mr: MergeRequest, verdict: Verdict) -> None:
    """No remark, no reply and no summary twice."""
    counted: Counter[str] = Counter()
    for task_id, item in markers(mr.notes, world.gitlab.bot.id):
        note_id = note_of(task_id)
        counted[f"{item} of n{note_id}" if item == "reply" else item] += 1
    verdict.doubled += [f"{_name(mr)}: {n} x {item}" for item, n in counted.items() if n > 1]
    heads = _remarks(mr, world.gitlab.bot.id)
    for sha16, number in heads.items():
        if number < FINDINGS:
            verdict.lost.append(f"{_name(mr)}: half a review of {sha16}: {number} remarks")
    head = mr.head_sha[:16]
    if mr.state == "opened" and not mr.draft and heads[head] != FINDINGS:
        verdict.lost.append(f"{_name(mr)}: {heads[head]} remarks on the last head {head}")


def _remarks(mr: MergeRequest, author: int) -> Counter[str]:
    """How many remarks each head has, by the start of its sha."""
    found: Counter[str] = Counter()
    for task_id, item in set(markers(mr.notes, author)):
        review = _REVIEW.fullmatch(task_id)
        if review and _FINDING.fullmatch(item):
            found[review[1]] += 1
    return found


def _judge_reviews(mr: MergeRequest, history: History, verdict: Verdict) -> None:
    """Each head and target has at most one review by itself; the last has one."""
    posted: Counter[tuple[str, str]] = Counter()
    asked: set[tuple[str, str]] = set()
    for task_id, event in history.published.items():
        request = history.request(task_id)
        if request.kind != "review" or event.outcome != "posted":
            continue
        if (request.project_id, request.iid) != (mr.project_id, mr.iid):
            continue
        diff = request.head_sha, request.target_branch
        if request.asked_in is None:
            posted[diff] += 1
        else:
            asked.add(diff)
    for (sha, target), number in posted.items():
        if number > 1:
            verdict.doubled.append(f"{_name(mr)}: {number} reviews of {sha[:16]} for {target}")
    last = mr.head_sha, mr.target_branch
    if mr.state == "opened" and not mr.draft and not posted[last] and last not in asked:
        verdict.lost.append(f"{_name(mr)}: no review of the last head {last[0][:16]}")


def _judge_command(world: World, command: Command, history: History, verdict: Verdict) -> None:
    """One answer: a reply, or for a review that was posted the review itself.

    None to whoever was told the same not long ago.
    """
    name = f"{_name(command.mr)} note {command.note.id} {command.text!r}"
    tasks = history.of_note(command.note.id)
    if not tasks:
        verdict.lost.append(f"{name}: no task")
        return
    bot = world.gitlab.bot.id
    replies = [
        task_id
        for task_id, item in markers(command.mr.notes, bot)
        if item == "reply" and note_of(task_id) == command.note.id
    ]
    reviewed = any(
        history.request(task_id).kind == "review"
        and task_id in history.published
        and history.published[task_id].outcome == "posted"
        for task_id in tasks
    )
    ends = [history.ended.get(task_id) for task_id in tasks]
    if any(isinstance(end, Refused) and end.quiet for end in ends):
        if replies:
            verdict.doubled.append(f"{name}: told again {replies}")
        return
    if len(replies) + reviewed == 0:
        verdict.lost.append(f"{name}: no answer to {tasks}")
    if len(replies) + reviewed > 1:
        verdict.doubled.append(f"{name}: answers {replies}")
    ours = sorted(award.name for award in command.note.awards if award.user.id == bot)
    if ours not in (["white_check_mark"], ["x"]):
        verdict.left.append(f"{name}: emoji {ours}")


def _judge_commits(project: Project, history: History, verdict: Verdict) -> None:
    """One commit for each task that says so, and for one command one, in the order of the log."""
    if not project.repository.refs():
        return
    rows = project.repository.text("log", "--all", f"--format={_TRAILER}").splitlines()
    commits = [row.split(" ", 1) for row in rows if row.strip().count(" ")]
    made = {task_id: sha for sha, task_id in commits}
    verdict.commits += len(made)
    tasks = Counter(command_of(task_id) for _, task_id in commits)
    verdict.doubled += [f"{n} commits of {task_id}" for task_id, n in tasks.items() if n > 1]
    told = {
        task_id: event.commit_sha
        for task_id, event in history.published.items()
        if event.commit_sha and history.request(task_id).project_id == project.id
    }
    for task_id in sorted(told.keys() | made.keys()):
        if told.get(task_id) != made.get(task_id):
            verdict.lost.append(f"{task_id}: told {told.get(task_id)}, made {made.get(task_id)}")
    _judge_order(project, history, verdict)


def _judge_order(project: Project, history: History, verdict: Verdict) -> None:
    """On one branch a command that was noted and taken up before another is committed before."""
    for branch in project.repository.refs():
        rows = project.repository.text(
            "log", "--reverse", "--topo-order", f"--format={_TRAILER}", branch
        ).splitlines()
        tasks = [row.split(" ", 1)[1] for row in rows if row.strip().count(" ")]
        known = [(note_of(t), history.first_seq(t)) for t in tasks if note_of(t)]
        for number, (note_id, seq) in enumerate(known):
            for later_note, later_seq in known[number + 1 :]:
                if later_note < note_id and later_seq < seq:
                    verdict.lost.append(
                        f"{project.id} {branch}: the order: n{later_note} came after n{note_id}"
                    )


def _judge_issue(world: World, issue: Issue, verdict: Verdict) -> None:
    bot = world.jira.bot
    comments = [one for one in issue.comments if one.author is bot]
    found = [
        mr
        for mr in world.project.merge_requests.values()
        if mr.source_branch.lower().startswith(f"agent/{issue.key.lower()}")
        and not mr.source_branch.lower().removeprefix(f"agent/{issue.key.lower()}")[:1].isdigit()
    ]
    for what, number in (("merge requests", len(found)), ("comments", len(comments))):
        if number < 1:
            verdict.lost.append(f"{issue.key}: no {what}")
        if number > 1:
            verdict.doubled.append(f"{issue.key}: {number} {what}")
    if issue.status.name != "In Review":
        verdict.lost.append(f"{issue.key}: is in {issue.status.name}")


def _judge_remains(remains: Remains, verdict: Verdict) -> None:
    held = (key for key in remains.leases if key.startswith(("slot.", "publish.")))
    verdict.left += [f"lease {key}" for key in held]
    verdict.lost += [f"dead letter {name}" for name in sorted(remains.letters)]


async def judge_after_the_end(world: World, verdict: Verdict) -> None:
    """What may only be asked once the services have ended."""
    held = await JetStreamKeyValue(world.connection, LOCKS).keys()
    verdict.left += left_after_the_end(world.processes(), held)


def left_after_the_end(processes: Iterable[str], leases: Iterable[str]) -> list[str]:
    """Pure: no process and no lease of any kind outlives the services."""
    return [
        *(f"process {line[:300]}" for line in processes),
        *(f"lease {key} after the end" for key in leases),
    ]
