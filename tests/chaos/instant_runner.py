"""Stands in for the Job: fetches its task, waits a moment, hands in what a session could have made.

Started by the real launcher and its real supervisor, as `tests.chaos.python` says. Only the
standard library, and a plain script, so that a thousand of them cost little.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request

FINDINGS = 2
"""That each review of a head has, on the first lines of the merge request's own file."""
LONGEST_SESSION = 0.4
PATIENCE = 60.0
REFUSED = 10
NO_TASK_DOOR = 11


def review(task: dict) -> dict:
    head = task["diff_refs"]["head_sha"]
    return {
        "type": "task.result.review_done.v1",
        "summary": f"Read {head[:12]}.",
        "findings": [finding(file_of(task), line, head) for line in range(1, FINDINGS + 1)],
        "files_reviewed": [file_of(task)],
    }


def file_of(task: dict) -> str:
    return f"{task['source_branch']}.txt"


def finding(file: str, line: int, head: str) -> dict:
    """A remark on a line of a file that the merge request adds.

    Its `line_text` is another one for each head: what was said of a line is not said again.
    """
    code = f"{hashlib.sha1(file.encode()).hexdigest()}_0_{line}"
    return {
        "file": file,
        "side": "new",
        "line": line,
        "end_line": line,
        "severity": "info",
        "comment": f"Line {line} as it is at {head}.",
        "line_text": f"line {line} at {head}",
        "position": {
            "old_path": file,
            "new_path": file,
            "end": {"old_line": None, "new_line": line, "line_code": code},
        },
    }


def answer(task: dict) -> dict:
    return {"type": "task.result.answered.v1", "answer": f"This is {task['title']}."}


def change(task: dict) -> dict:
    """One new file, named after who asked: the same for each pin of one command."""
    asked = task.get("asked_in")
    name = f"work/n{asked['note_id']}.txt" if asked else f"work/{task['issue']['key']}.txt"
    return {
        "type": "task.result.changes_proposed.v1",
        "subject": f"Add {name}",
        "summary": f"{name} is there now.",
        "files": [name],
        "patch": base64.b64encode(new_file(name, f"done for {name}\n").encode()).decode(),
    }


def new_file(name: str, text: str) -> str:
    body = text.encode()
    sha = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
    return (
        f"diff --git a/{name} b/{name}\nnew file mode 100644\nindex {'0' * 40}..{sha}\n"
        f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+{text}"
    )


ENDS = {"review": review, "ask": answer, "coding": change}


def asked(url: str, body: dict | None = None) -> dict:
    """The task door's answer; it may be away for a while, as it is killed too."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {
        "Authorization": f"Bearer {os.environ['GCA_TASK_TOKEN']}",
        "Content-Type": "application/json",
    }
    until = time.monotonic() + PATIENCE
    while True:
        try:
            request = urllib.request.Request(url, data, headers)
            with urllib.request.urlopen(request, timeout=15) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            print(f"{url}: HTTP {error.code}: {error.read(500)!r}", flush=True)
            if error.code < 500:
                sys.exit(REFUSED)
        except (OSError, ValueError) as error:
            print(f"{url}: {error}", flush=True)
        if time.monotonic() > until:
            sys.exit(NO_TASK_DOOR)
        time.sleep(random.uniform(0.1, 0.5))


def main() -> None:
    url = os.environ["GCA_TASK_URL"]
    task = asked(url)
    time.sleep(random.uniform(0, LONGEST_SESSION))
    named = {"task_id": task["task_id"], "head_sha": task["diff_refs"]["head_sha"]}
    asked(f"{url}/result", named | ENDS[task["kind"]](task))


if __name__ == "__main__":
    main()
