"""`tweetelm COMMAND …`: runs the module of a command as `python -m` does, and imports nothing before that."""

import importlib.util
import runpy
import sys

from tweetelm.cli import program_name
from tweetelm.version import __version__

COMMANDS = {  # command: module, description
    "train": ("ray_jobs.train", "fine-tune one model, evaluate it and publish it"),
    "tune": ("ray_jobs.tune", "search hyperparameters and model sizes, publish the best"),
    "seeds": ("ray_jobs.seeds", "train one configuration with several seeds; publishes nothing"),
    "evaluate": ("ray_jobs.evaluate", "write the full report of a version or a checkpoint"),
    "classify-files": (
        "ray_jobs.classify_files",
        "classify files of any size, row by row",
    ),
    "generate": ("ray_jobs.generate", "write machine-made tweets with a language model"),
    "collect": ("ray_jobs.collect", "collect genuine tweets of named accounts"),
    "reproduce": ("ray_jobs.reproduce", "run every experiment on the real data with pretrained models"),
    "tweeteval": ("ray_jobs.tweeteval", "train and score every TweetEval task, write the benchmark's table"),
    "serve": ("serve", "serve the published models over HTTP on this machine"),
    "registry": ("tweetelm.registry", "list, show, compare, promote, verify, export and push versions"),
    "data": ("tweetelm.data", "download and check the datasets"),
    "openelm": ("tweetelm.openelm", "describe a model, check its files"),
    "cluster-file": ("ray_jobs.cluster.config_file", "check a Ray cluster file before `ray up`"),
}


def main() -> None:
    """Entry point of the console command; exits with the status of the command."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        print(help_page())
        return
    if words[0] == "--version":
        print(f"tweetelm {__version__}")
        return
    if words[0] not in COMMANDS:
        sys.exit(_refuse(f"there is no command {words[0]!r}; expected {', '.join(COMMANDS)}"))
    name = words[0]
    module = COMMANDS[name][0]
    package = module.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        sys.exit(_refuse(f"{name} needs the package {package}; install tweetelm from a checkout: make setup"))
    program_name.program = f"tweetelm {name}"
    sys.argv[1:] = words[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def help_page() -> str:
    """All commands, one a line."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {about}" for name, (_, about) in COMMANDS.items()]
    head = [
        "usage: tweetelm COMMAND [options]",
        "",
        "Fine-tune OpenELM into tweet classifiers, search, evaluate, serve.",
        "",
    ]
    tail = [
        "",
        "`tweetelm COMMAND --help` lists the options; `tweetelm --version` prints the version.",
        "For `ray job submit`, each command is a module too:",
        "`tweetelm train` is `python -m ray_jobs.train`.",
    ]
    return "\n".join([*head, *lines, *tail])


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2
