"""What a CI file includes, read without trusting its form (SR-32)."""

from __future__ import annotations

import pytest

from services.publisher.ci_file import config_path, local_includes


@pytest.mark.parametrize(
    ("content", "paths"),
    [
        ("include: /ci/build.yml\n", ("ci/build.yml",)),
        ("include: 'ci/build.yml'   # why\n", ("ci/build.yml",)),
        ("include:\n  local: ci/build.yml\n", ("ci/build.yml",)),
        ("include:\n- local: ci/a.yml\n- local: 'ci/**/*.yml'\n", ("ci/a.yml", "ci/**/*.yml")),
        (
            "include:\n  - 'ci/a.yml'\n  - ci/b.yml\njob:\n  local: no.yml\n",
            ("ci/a.yml", "ci/b.yml"),
        ),
        ("include: [ci/a.yml, 'ci/b.yml']\n", ("ci/a.yml", "ci/b.yml")),
        ("include: {local: ci/a.yml}\n", ("ci/a.yml",)),
        ("include:\n  [\n    ci/a.yml,\n    ci/b.yml\n  ]\n", ("ci/a.yml", "ci/b.yml")),
        ("include:\n  - project: g/p\n    file: /x.yml\n  - local: a.yml\n", ("a.yml",)),
        ("include:\n  - local: a.yml\n    rules:\n      - if: $CI\n", ("a.yml",)),
        ("include: 'https://host.test/x.yml'\n", ()),
        ('"include" : "a.yml"\n', ("a.yml",)),
        ("include:\r\n  - local: a.yml\r\n", ("a.yml",)),
        ("stages: [build]\njob:\n  script: make\n", ()),
        ("", ()),
        ("\x00\xff: [[[\n", ()),
    ],
)
def test_sr_32_local_includes_are_found_in_every_form(content, paths):
    assert paths == local_includes(content.encode())


def test_a_file_that_is_no_text_breaks_nothing():
    assert () == local_includes(bytes(range(256)) * 100)


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("", ".gitlab-ci.yml"),
        ("ci/main.yml", "ci/main.yml"),
        ("/ci/main.yml", "ci/main.yml"),
        ("ci.yml@group/other", ".gitlab-ci.yml"),
        ("https://host.test/ci.yml", ".gitlab-ci.yml"),
    ],
)
def test_the_projects_own_ci_path_counts(setting, path):
    assert path == config_path(setting)
