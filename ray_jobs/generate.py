"""`python -m ray_jobs.generate --out generated/smollm2 --rows 1000`: machine-written tweets from a language
model.

Running the same command again completes an interrupted one; no answered request is asked again.
"""

import os
from pathlib import Path

from ray_jobs.cli import refuse
from ray_jobs.cli import run as run_job
from ray_jobs.generation.arguments import Arguments
from ray_jobs.locks.run_lock import BusyError, locked_folder
from tweetelm.cli import command
from tweetelm.files.paths import expanded, located

RESUMES = "run the same command again to continue"


def main() -> int:
    """Run the command; returns the exit status."""
    with refuse(interrupted=RESUMES):
        arguments = command.parse(Arguments, module="ray_jobs.generate")
        return generate(arguments, _key(arguments))


def _key(arguments: Arguments) -> str:
    if arguments.api_key_file is None:
        return os.environ.get("OPENAI_API_KEY", "")
    path = Path(expanded(arguments.api_key_file))
    if not path.is_file():
        raise FileNotFoundError(f"--api-key-file: {path} does not exist; expected a file with the key alone")
    return path.read_text("utf-8").strip()


def generate(arguments: Arguments, key: str) -> int:
    """Generate, print progress and a summary. Returns the exit status: 1 if rows are missing."""
    from ray_jobs.generation.prepare import prepare  # takes seconds: it imports torch and datasets

    prepared = prepare(arguments, key)
    print("\n".join(prepared.lines()), flush=True)
    prepared.check_settings()
    if arguments.plan:
        return 0
    folder = located(arguments.out)
    try:
        with locked_folder(folder, "the folder of the generation"):
            return prepared.run()
    except BusyError as busy:
        raise ValueError(f"{busy}; or choose another folder with --out") from busy


if __name__ == "__main__":
    run_job(main)
