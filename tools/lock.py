"""Write the lock files from pyproject.toml: `make lock` (needs the package index).

requirements.lock       runtime packages without torch, for every node.
requirements-cpu.lock   the CPU build of torch.
requirements-cuda.lock  the CUDA build of torch and its dependencies, several gigabytes.
requirements-dev.lock   tests and tools, not for nodes.

Locked versions are kept; `make lock ARGS=--upgrade` selects the newest ones.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNTIME = (
    *("ray", "tracking", "tracing", "data", "aws", "lora", "report", "gguf", "sentencepiece"),
    *("generate", "mix"),
)
CPU_FILE = "requirements-cpu.lock"  # of a build that is not on the package index
CUDA_ONLY = re.compile(r"nvidia-|cuda-|triton=")
# The CPU build (Linux x86, Python 3.11) is on another index; `pip hash FILE` prints its hash.
CPU = {
    "torch==2.13.0": ("6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",)
}  # Linux x86, 3.11


def compiled(extras: tuple[str, ...], pinned: list[Path], options: list[str]) -> dict[str, list[str]]:
    """The resolved requirements of these extras, as `name==version`, with their hashes."""
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


def write(name: str, purpose: str, requirements: Mapping[str, Sequence[str]]) -> None:
    lines = [f"# {purpose} Made by `make lock`."]
    for requirement, hashes in requirements.items():
        marker = ' ; sys_platform == "linux"' if CUDA_ONLY.match(requirement) else ""
        lines.append(" \\\n".join([requirement + marker, *(f"    --hash=sha256:{each}" for each in hashes)]))
    (ROOT / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    options = sys.argv[1:]
    # Without the CPU build, which is not on the package index.
    old = (
        []
        if "--upgrade" in options
        else [ROOT / f"requirements{part}.lock" for part in ("", "-cuda", "-dev")]
    )
    everything = compiled((*RUNTIME, "dev"), [file for file in old if file.exists()], options)
    write(
        "requirements-dev.lock", "", everything
    )  # constrains the next line, so that all files have the same versions
    runtime = compiled(RUNTIME, [ROOT / "requirements-dev.lock"], [])
    torch = next(name for name in runtime if name.startswith("torch=="))
    cuda = {name: runtime[name] for name in runtime if name == torch or CUDA_ONLY.match(name)}
    needed = {name: hashes for name, hashes in runtime.items() if name not in cuda}
    dev = {name: hashes for name, hashes in everything.items() if name not in runtime}
    both = "What runs, on every node, with requirements-cpu.lock or requirements-cuda.lock."
    write("requirements.lock", both, needed)
    write(
        "requirements-cpu.lock",
        "torch without CUDA, besides requirements.lock.",
        {f"{torch}+cpu": CPU[torch]},
    )
    write("requirements-cuda.lock", "torch with CUDA, besides requirements.lock.", cuda)
    write("requirements-dev.lock", "Tests and tools, besides requirements.lock; never on a node.", dev)


if __name__ == "__main__":
    main()
