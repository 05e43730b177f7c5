"""A git and DVC repository with the files of an example, beside a private Ray."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.places import ROOT
from tests.support.ray_service import private_ray


@dataclass(frozen=True)
class Project:
    folder: Path
    env: dict[str, str]

    def typed(self, *words: str) -> str:
        """The output of a command, which must succeed."""
        done = subprocess.run(
            words, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def dvc(self, *words: str) -> str:
        return self.typed(sys.executable, "-m", "dvc", *words)


@contextmanager
def dvc_project(folder: Path, example: str) -> Iterator[Project]:
    """A repository in an empty folder with the files of `examples/NAME`, committed."""
    with private_ray() as env:
        shutil.copytree(ROOT / "examples" / example, folder, dirs_exist_ok=True)
        env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "DVC_NO_ANALYTICS": "1", "CI": "1"}
        for name in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{name}_NAME": "a", f"GIT_{name}_EMAIL": "a@b.c"}
        project = Project(folder, env)
        project.typed("git", "init", "-q")
        project.dvc("init", "-q")
        project.typed("git", "add", "-A")
        project.typed("git", "commit", "-qm", "Start")
        yield project
