"""What `make check` says of a change to protos/ that would break those who call."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUF = Path(sys.prefix) / "bin" / "buf"
TYPES = Path("protos/advisor_matching/v1/types.proto")
GIT = (
    "git",
    "-c",
    "user.name=nobody",
    "-c",
    "user.email=nobody@example.com",
    "-c",
    "init.defaultBranch=main",
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the contract and one commit on main."""
    clone = tmp_path / "clone"
    for directory in ("protos", "scripts"):
        shutil.copytree(ROOT / directory, clone / directory, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "buf.yaml", clone)
    git(clone, "init", "-q")
    commit(clone)
    return clone


def git(clone: Path, *arguments: str) -> None:
    subprocess.run([*GIT, "-C", str(clone), *arguments], check=True, capture_output=True)


def commit(clone: Path) -> None:
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "a change")


def edit(clone: Path, change: Callable[[str], str]) -> None:
    before = (clone / TYPES).read_text()
    (clone / TYPES).write_text(change(before))
    assert (clone / TYPES).read_text() != before


def check(clone: Path) -> tuple[int, str]:
    """The exit status of the check, and all that it says."""
    done = subprocess.run(
        ["sh", "scripts/check-breaking.sh"],
        cwd=clone,
        env={"PATH": "/usr/bin:/bin", "BUF": str(BUF), "HOME": str(clone)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_broken_promise_is_found_however_many_commits_after_the_release(clone: Path) -> None:
    git(clone, "tag", "v1.2.3")
    git(clone, "tag", "nightly")
    assert check(clone) == (0, "buf breaking: compatible with v1.2.3\n")
    edit(clone, lambda text: text.replace("double score = 7;", "double points = 7;", 1))
    commit(clone)
    edit(clone, lambda text: text + "\n// More to come.\n")
    commit(clone)
    status, said = check(clone)
    assert status == 1
    assert 'from "score" to "points"' in said
    assert said.endswith("protos/ break what v1.2.3 promises\n")


def test_what_is_only_added_breaks_nothing(clone: Path) -> None:
    git(clone, "tag", "v1.2.3")
    edit(clone, lambda text: text.replace("string etag = 19;", "string etag = 19;\n  string note = 20;", 1))
    assert check(clone) == (0, "buf breaking: compatible with v1.2.3\n")


def test_before_the_first_release_the_last_commit_of_main_counts(clone: Path) -> None:
    git(clone, "switch", "-q", "-c", "topic")
    edit(clone, lambda text: text.replace("MATCH_STATUS_EXPIRED = 8", "MATCH_STATUS_EXPIRED = 9", 1))
    commit(clone)
    status, said = check(clone)
    assert status == 1
    assert 'enum value "8"' in said
    git(clone, "switch", "-q", "main")
    edit(clone, lambda text: text.replace("string etag = 19;", "string etag = 19;\n  string note = 20;", 1))
    commit(clone)
    git(clone, "switch", "-q", "-c", "behind", "HEAD~1")
    assert check(clone)[0] == 0, "what main has gained since is no breach of this branch's"


def test_a_clone_without_history_is_told_what_it_lacks(clone: Path, tmp_path: Path) -> None:
    edit(clone, lambda text: text + "\n// More to come.\n")
    commit(clone)
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", clone.as_uri(), str(shallow))
    status, said = check(shallow)
    assert status == 0
    assert "skipped, this clone is shallow and has no release tag" in said
    shutil.rmtree(shallow / ".git")
    assert check(shallow) == (0, "buf breaking: skipped, this is no git clone\n")
