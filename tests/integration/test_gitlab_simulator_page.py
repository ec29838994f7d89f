"""The page of the simulated GitLab shows a merge request to a person, and only safe HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.simulators.gitlab.web import markdown
from tests.simulators.gitlab.wire import opened_merge_request

pytestmark = pytest.mark.real

VOID = {"meta", "br", "hr", "img", "input"}


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab") as scene:
        yield scene


async def page(scene, path=""):
    url = scene.merge_request.web_url + path
    async with scene.session.get(url) as answer:
        assert answer.status == 200
        return await (answer.json() if path else answer.text())


class Tags(HTMLParser):
    """Collects what a browser would take for tags, and checks that they are closed in order."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.open = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def tags(html):
    parser = Tags()
    parser.feed(html)
    assert parser.open == []
    return parser.seen


async def test_the_page_shows_title_description_diff_and_state(scene):
    html = await page(scene)
    tags(html)
    for text in ("Change much", "As asked.", "Alice Adams", "line ten", "@@ -7,7 +7,7 @@"):
        assert text in html
    assert ">Open<" in html


async def test_a_thread_is_shown_below_its_line_with_its_suggestion(scene):
    body = "Better so:\n\n```suggestion:-0+0\nline TEN\n```"
    await scene.discuss("app.py", body=body, new_line=10)
    html = await page(scene)
    tags(html)
    row = html.index("line ten</td></tr>")
    comment = html.index("Better so:")
    following = html.index(">line 11</td></tr>")
    assert row < comment < following
    assert "Suggested change" in html
    assert "line TEN</td></tr>" in html


async def test_a_thread_outside_the_hunks_brings_its_lines_along(scene):
    assert ">line 30<" not in await page(scene)
    await scene.discuss("app.py", body="Far away", old_line=30, new_line=31)
    html = await page(scene)
    assert html.index(">line 30<") < html.index("Far away")


async def test_an_outdated_thread_is_marked_and_moves_to_the_activity(scene):
    await scene.discuss("app.py", body="Look at ten", new_line=10)
    files = {"app.py": "all new\n"}
    await scene.gitlab.push(scene.project, branch="feature", files=files)
    html = await page(scene)
    assert "Outdated</span> <code>app.py:10</code>" in html
    assert html.index("Look at ten") < html.index("<h2>Changes")


async def test_hidden_comments_are_not_shown_and_hostile_text_is_escaped(scene):
    hostile = "<!-- marker:secret -->Seen <img src=x onerror=alert(1)> <script>alert(2)</script>"
    await scene.gitlab.comment(scene.merge_request, hostile)
    await scene.gitlab.set_title(scene.merge_request, "<b>bold</b> & brave")
    await scene.gitlab.push(
        scene.project, branch="feature", files={"<svg onload=x>.txt": "</td><script>3</script>\n"}
    )
    html = await page(scene)
    seen = tags(html)
    assert "marker:secret" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert [tag for tag, _ in seen if tag in {"img", "svg", "b"}] == []
    assert sum(1 for tag, _ in seen if tag == "script") == 1


async def test_the_live_part_changes_only_when_something_happened(scene):
    first = await page(scene, "/live")
    assert (await page(scene, "/live"))["digest"] == first["digest"]
    await scene.gitlab.comment(scene.merge_request, "Fresh words")
    second = await page(scene, "/live")
    assert second["digest"] != first["digest"]
    assert "Fresh words" in second["html"]
    assert f'data-digest="{second["digest"]}"' in await page(scene)


async def test_the_index_lists_merge_requests(scene):
    async with scene.session.get(scene.gitlab.url + "/") as answer:
        html = await answer.text()
    tags(html)
    assert 'href="/group/sub/app/-/merge_requests/1"' in html
    missing = await scene.session.get(f"{scene.gitlab.url}/group/sub/app/-/merge_requests/99")
    assert missing.status == 404


async def say(scene, **sent):
    url = f"{scene.merge_request.web_url}/comments"
    async with scene.session.post(url, json=sent) as answer:
        return answer.status, await answer.json()


async def test_a_person_comments_and_replies_on_the_page(scene):
    dora = scene.gitlab.add_user("dora", project=scene.project)
    html = await page(scene)
    tags(html)
    people = re.findall(r'<option value="(\w+)">([^<]+)</option>', html)
    assert people == [("dora", "Dora (Developer)"), ("alice", "Alice Adams (Maintainer)")]
    assert await say(scene, author="dora", body="/copilot ask why?") == (201, {})
    [note] = scene.gitlab.notes(scene.merge_request)
    assert (note.author, note.body) == (dora, "/copilot ask why?")
    said = {"author": "alice", "body": "I wonder too", "discussion_id": note.discussion_id}
    assert await say(scene, **said) == (201, {})
    [thread] = scene.gitlab.discussions(scene.merge_request)
    assert [one.author.username for one in thread.notes] == ["dora", "alice"]
    html = await page(scene)
    tags(html)
    one_thread = html[html.index('<article class="thread') :].split("</article>")[0]
    assert "ask why?" in one_thread
    assert "I wonder too" in one_thread
    assert f'data-discussion="{thread.id}"' in one_thread


@pytest.mark.parametrize(
    "sent",
    [
        {"author": "copilot-agent", "body": "x"},
        {"author": "nobody", "body": "x"},
        {"author": "alice", "body": "  "},
        {"author": "alice"},
        {"author": "alice", "body": "x", "discussion_id": "none"},
    ],
)
async def test_what_no_form_sends_is_refused(scene, sent):
    status, body = await say(scene, **sent)
    assert (status, set(body)) == (400, {"problem"})
    assert scene.gitlab.notes(scene.merge_request) == []


async def test_a_form_of_another_site_cannot_comment(scene):
    url = f"{scene.merge_request.web_url}/comments"
    form = {"author": "alice", "body": "x"}
    async with scene.session.post(url, data=form) as answer:
        assert answer.status == 415


async def test_emoji_commits_and_pipelines_are_shown(scene):
    note = await scene.gitlab.comment(scene.merge_request, "/copilot help")
    path = f"{scene.api}/notes/{note.id}/award_emoji"
    await scene.bot.post(path, json={"name": "eyes"})
    html = await page(scene)
    tags(html)
    head = scene.merge_request.head_sha
    [pipeline] = scene.gitlab.pipelines(scene.project, sha=head)
    assert 'title=":eyes: by Copilot Agent">👀<' in html
    assert f'<code>{head[:8]}</code>\n<span class="grow">Change much</span>' in html
    assert f"#{pipeline.id}" in html
    scene.project.pipelines.clear()
    assert f"None for the head <code>{head[:8]}</code>" in await page(scene)


async def test_the_list_of_a_project_shows_drafts_and_who_opened_them(scene):
    scene.gitlab.commit(scene.project, branch="agent/SHOP-1", files={"a.py": "a\n"})
    await scene.gitlab.open_merge_request(
        scene.project,
        source_branch="agent/SHOP-1",
        title="SHOP-1",
        draft=True,
        author=scene.gitlab.bot,
    )
    url = f"{scene.gitlab.url}/group/sub/app/-/merge_requests"
    async with scene.session.get(url) as answer:
        html = await answer.text()
    tags(html)
    assert html.index("Draft: SHOP-1") < html.index("Change much")
    assert '<span class="badge draft">Draft</span>' in html
    assert html.count('<span class="badge bot">bot</span>') == 1
    async with scene.session.get(f"{url}/live") as answer:
        assert "Draft: SHOP-1" in (await answer.json())["html"]
    async with scene.session.get(f"{scene.gitlab.url}/no/such/-/merge_requests") as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("**b** _i_ `c<`", "<p><strong>b</strong> <em>i</em> <code>c&lt;</code></p>"),
        ("# One", "<h2>One</h2>"),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("a <!-- x\ny --> b", "<p>a  b</p>"),
        ("hidden <!-- to the end", "<p>hidden</p>"),
        ("\\@all &#64;all", "<p>@all &#64;all</p>"),
        ("snake_case_name 2*3*4", "<p>snake_case_name 2*3*4</p>"),
        ("```py\n<x>\n```", '<pre class="code"><code>&lt;x&gt;</code></pre>'),
        ("[x](javascript:alert(1))", "<p>x (javascript:alert(1))</p>"),
        ("> said\n> so", "<blockquote><p>said<br>\nso</p></blockquote>"),
    ],
)
def test_markdown_is_drawn_and_escaped(text, wanted):
    assert markdown.render(text) == wanted


def test_markdown_draws_tables_nested_lists_and_details():
    table = markdown.render("| a | b |\n|---|---|\n| `x` | y |")
    assert "<td><code>x</code></td><td>y</td>" in table
    nested = markdown.render("- a\n  - b\n- c")
    assert nested == "<ul><li>a\n<ul><li>b</li></ul></li><li>c</li></ul>"
    details = markdown.render("<details>\n<summary>More</summary>\n\ntext\n\n</details>")
    assert re.sub(r"\s", "", details) == ("<details><summary>More</summary><p>text</p></details>")
    tags(details)
