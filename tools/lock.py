"""Write the lock files from pyproject.toml: `make lock` (needs `pip install uv` and the package index).

requirements.lock       what runs: every node gets it. Its torch has the hashes of both builds, CPU and CUDA.
requirements-cuda.lock  what a CUDA build of torch needs beside it, several gigabytes.
requirements-dev.lock   tests and tools: no node gets it.

Versions in the files are kept; `make lock ARGS=--upgrade` takes the newest ones.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNTIME = ("ray", "tracking", "tracing", "data", "aws", "lora", "report", "sentencepiece")
CUDA = re.compile(r"nvidia-|cuda-|triton=")
# The CPU build is on another index than the CUDA build: `pip hash FILE` prints its hash.
CPU_TORCH = {
    "torch==2.13.0": ("6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",)  # Linux x86, 3.11
}


def compiled(extras: tuple[str, ...], pinned: list[Path], options: list[str]) -> dict[str, list[str]]:
    """Each requirement, as `name==version`, of these extras with its hashes."""
    with tempfile.NamedTemporaryFile(suffix=".lock") as out:
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--generate-hashes"]
        command += ["--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--strip-extras"]
        command += ["--python-version", "3.11", "--output-file", out.name, *options]
        command += [word for extra in extras for word in ("--extra", extra)]
        command += [word for file in pinned for word in ("--constraint", str(file))]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return parse(Path(out.name).read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, list[str]]:
    """The requirements of a lock file with their hashes."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if match := re.match(r"([^\s#\\][^\s\\]*==[^\s\\;]+)", line):
            found[match[1]] = []
        elif match := re.search(r"--hash=sha256:([0-9a-f]{64})", line):
            found[list(found)[-1]].append(match[1])
    return found


def write(name: str, purpose: str, requirements: dict[str, list[str]]) -> None:
    lines = [f"# {purpose} Made by `make lock`."]
    for requirement, hashes in requirements.items():
        known = sorted({*hashes, *CPU_TORCH.get(requirement, ())})
        lines.append(" \\\n".join([requirement, *(f"    --hash=sha256:{each}" for each in known)]))
    (ROOT / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    options = sys.argv[1:]
    old = [] if "--upgrade" in options else sorted(ROOT.glob("requirements*.lock"))
    everything = compiled((*RUNTIME, "dev"), old, options)
    write("requirements-dev.lock", "", everything)  # for the next line: the same versions in all files
    runtime = compiled(RUNTIME, [ROOT / "requirements-dev.lock"], [])
    cuda = {name: hashes for name, hashes in runtime.items() if CUDA.match(name)}
    needed = {name: hashes for name, hashes in runtime.items() if name not in cuda}
    dev = {name: hashes for name, hashes in everything.items() if name not in runtime}
    write("requirements.lock", "What runs, on every node.", needed)
    write("requirements-cuda.lock", "What a CUDA build of torch needs besides requirements.lock.", cuda)
    write("requirements-dev.lock", "Tests and tools, besides requirements.lock; never on a node.", dev)


if __name__ == "__main__":
    main()
