"""Shared by all commands: flag parsing, one-line errors, closed pipes and ASCII terminals."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar, Union

from tweetelm.cli import help_pages
from tweetelm.cli.config_file import with_config_file
from tweetelm.cli.program_name import program_name
from tweetelm.cli.ray_startup import DidNotStartError

if TYPE_CHECKING:
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec

ERROR, INTERRUPTED, CLOSED_PIPE = 2, 130, 141
EXPLAINED = (ValueError, OSError, FloatingPointError, ModuleNotFoundError, DidNotStartError)
RESUMES = "run the same command again to resume from the last checkpoint"
_ADVICE = {
    errno.ENOSPC: "free some space, or name another place",
    errno.EDQUOT: "free some space, or name another place",
    errno.EACCES: "name another place, or ask its owner for the right",
    errno.EPERM: "name another place, or ask its owner for the right",
    errno.EROFS: "name another place",
    errno.ENOENT: "name one that exists",
    errno.ENOTDIR: "name a folder",
    errno.EISDIR: "name a file",
    errno.EMFILE: "type `ulimit -n 4096`, then the same command again",
    errno.ENAMETOOLONG: "name a shorter one",
}
_HELP = {"-h": False, "--help": False, "--help-all": True}
T = TypeVar("T")


def parse(arguments: type[T], *, module: str, usual: Collection[str] = ()) -> T:
    """Parse the command line, and the file of --config, into a dataclass, whose docstrings are the help.

    Exits after --help, and after an invalid flag. `usual` are the flags that the short help explains.

    Raises:
        ValueError: the configuration file is missing or invalid.
    """
    prog = program_name(module)
    _help_if_asked(arguments, prog, usual)
    import tyro

    words = with_config_file(arguments, sys.argv[1:])
    return tyro.cli(arguments, prog=prog, description=arguments.__doc__, args=words, registry=flag_types())


def flag_types() -> "ConstructorRegistry":
    """Types that define how they are typed, by `FLAG` (the placeholder) and `parse_flag`."""
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

    registry = ConstructorRegistry()

    @registry.primitive_rule
    def _(kind: PrimitiveTypeInfo) -> "PrimitiveConstructorSpec[Any] | None":
        own: Any = kind.type
        if not hasattr(own, "parse_flag"):
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=own.FLAG,
            instance_from_str=lambda words: own.parse_flag(words[0]),
            is_instance=lambda value: isinstance(value, own),
            str_from_instance=lambda value: [str(value)],
        )

    return registry


def run_verb(verbs: Mapping[str, Callable[..., Any]], *, module: str, about: str) -> Any:
    """Call the function of the verb on the command line, and return its result."""
    prog = program_name(module)
    asked = verbs.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if asked:
        _help_if_asked(asked, f"{prog} {sys.argv[1]}")
    elif _HELP.keys() & set(sys.argv[1:]):
        print(help_pages.verbs_page(verbs, prog=prog, about=about))
        sys.exit(0)
    import tyro

    choices = tuple(
        Annotated[Any, tyro.conf.subcommand(name=name, constructor=verb)] for name, verb in verbs.items()
    )
    command: Any = Union[choices]  # noqa: UP007  # of types that are known only now
    return tyro.cli(command, prog=prog, description=about, registry=flag_types())


def _help_if_asked(target: Any, prog: str, usual: Collection[str] = ()) -> None:
    wanted = [everything for flag, everything in _HELP.items() if flag in sys.argv[1:]]
    if wanted:
        print(help_pages.page(target, prog=prog, everything=any(wanted), usual=usual))
        sys.exit(0)


@contextlib.contextmanager
def told(*, status: int = ERROR, prefix: str = "error: ", interrupted: str = RESUMES) -> Iterator[None]:
    """Turn an expected error into its message and an exit status; other exceptions keep their traceback."""
    try:
        yield
    except BrokenPipeError:
        raise
    except EXPLAINED as error:
        print(f"{prefix}{message(error)}", file=sys.stderr)
        sys.exit(status)
    except KeyboardInterrupt:
        print(f"interrupted; {interrupted}" if interrupted else "interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def message(error: BaseException) -> str:
    """Return an error's message; for an OSError, with the file and what to do."""
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        advice = _ADVICE.get(error.errno)
        return f"{place}{error.strerror}" + (f"; {advice}" if advice else "")
    return str(error) or type(error).__name__


def run(main: Callable[[], int | None], *, interrupted: str = RESUMES) -> NoReturn:
    """Run a command's `main` and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # an ASCII terminal must not end a run
    try:
        with told(interrupted=interrupted):
            status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader closed the pipe, as in `… | head -1`
        _drop_output()
        status = CLOSED_PIPE
    except SystemExit:
        _flush()
        raise
    sys.exit(status)


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()


def _drop_output() -> None:
    """Redirect output to /dev/null, so that Python's flush at exit does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
