"""Help pages, generated from the dataclass or function that defines the flags."""

import dataclasses
import inspect
import shutil
import textwrap
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
import tyro

WIDEST = 120
INDENT = 30
_NAMES = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}
_MISSING = (dataclasses.MISSING, inspect.Parameter.empty)


@dataclass(frozen=True)
class Option:
    """A flag or a positional argument."""

    group: str
    name: str
    value: str
    text: str
    default: Any
    positional: bool

    @property
    def required(self) -> bool:
        return self.default in _MISSING

    @property
    def typed(self) -> str:
        """The option as it is typed."""
        if self.positional:
            return self.value if self.required else f"[{self.value.strip('[]')}]"
        if not self.value:
            head, dot, last = self.name.rpartition(".")
            return f"--{self.name}" + (f", --{head}{dot}no-{last}" if self.default else "")
        return f"--{self.name} {self.value}"


def page(target: Any, *, prog: str, everything: bool, usual: Collection[str] = ()) -> str:
    """Return the help of one command. With `usual`, only those flags and the ungrouped ones are explained;
    the others are listed, and `everything` explains them too."""
    found = options(target)
    words = [option.typed for option in found if option.required or option.positional]
    lines = [*_wrapped(" ".join(["usage:", prog, *words, "[options]"]), 7), ""]
    for paragraph in _paragraphs(target.__doc__ or ""):
        lines += [*_wrapped(paragraph, 0), ""]
    short = bool(usual) and not everything
    told = [option for option in found if not (short and option.group and option.name not in usual)]
    for group in dict.fromkeys(option.group for option in told):
        lines += _wrapped(group, 0) if group and not short else []
        for option in told:
            if option.group == group:
                lines += _described(option)
        lines += [] if short else [""]
    if dataclasses.is_dataclass(target):
        lines += _row(
            "--config FILE", "Read settings from a YAML file, such as config.yaml of a run; flags win."
        )
    lines += _row("-h, --help", "Show this page.")
    if short:
        lines += [*_row("--help-all", "Show what every setting means."), "", "All other settings:", ""]
        lines += _listed([option for option in found if option not in told])
    return "\n".join(lines).rstrip()


def _listed(others: list[Option]) -> list[str]:
    """Return the flags without explanations, by group."""
    lines = []
    for group in dict.fromkeys(option.group for option in others):
        flags = (option.typed.replace(" ", "\0") for option in others if option.group == group)
        lines += [*_wrapped(group, 0), *_wrapped("  " + ", ".join(flags), 2), ""]
    return [line.replace("\0", " ") for line in lines]


def verbs_page(verbs: Mapping[str, Callable[..., Any]], *, prog: str, about: str) -> str:
    """Return the help of a command with verbs."""
    lines = [f"usage: {prog} VERB …", "", *_wrapped(about, 0), ""]
    for name, verb in verbs.items():
        lines += _row(name, _paragraphs(verb.__doc__ or "")[0])
    return "\n".join([*lines, "", *_wrapped(f"A verb's own help: {prog} {next(iter(verbs))} --help", 0)])


def options(target: Any, prefix: str = "", group: str = "") -> list[Option]:
    """Return the flags of a dataclass, including nested dataclasses, or of a function."""
    texts = {p.arg_name: p.description or "" for p in docstring_parser.parse_from_object(target).params}
    defaults = _defaults(target)
    plain: list[Option] = []
    nested: list[Option] = []
    for name, hint in get_type_hints(target, include_extras=True).items():
        if name not in defaults:
            continue
        kind, marks = (get_args(hint)[0], get_args(hint)[1:]) if get_origin(hint) is Annotated else (hint, ())
        named = next((each for each in marks if hasattr(each, "metavar")), None)
        path = name if named is None or named.name is None else named.name
        if dataclasses.is_dataclass(kind) and not hasattr(kind, "parse_flag"):
            title = f"{path}: {' '.join((kind.__doc__ or '').split())}" if path else group
            nested += options(kind, f"{prefix}{path}." if path else prefix, title)
            continue
        text = (named.help if named is not None and named.help else None) or texts.get(name, "")
        plain.append(
            Option(
                group=group,
                name=prefix + path.replace("_", "-"),
                value=(named.metavar if named is not None and named.metavar else None) or _value(kind),
                text=" ".join(text.split()),
                default=defaults[name],
                positional=tyro.conf.Positional[int].__metadata__[0] in marks,  # type: ignore[attr-defined]
            )
        )
    return plain + nested


def _defaults(target: Any) -> dict[str, Any]:
    if not dataclasses.is_dataclass(target):
        return {name: each.default for name, each in inspect.signature(target).parameters.items()}
    return {
        field.name: field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        for field in dataclasses.fields(target)
        if field.init
    }


def _value(kind: Any) -> str:
    """Return the placeholder for a value of this type; "" for a switch."""
    if kind is bool:
        return ""
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, get_args(kind))) + "}"
    if get_origin(kind) in (Union, types.UnionType):
        return _value(next(each for each in get_args(kind) if each is not type(None)))
    if get_origin(kind) is tuple:
        return f"{_value(get_args(kind)[0])} …"
    if hasattr(kind, "parse_flag"):
        return str(kind.FLAG)
    return _NAMES.get(kind, "VALUE")


def _described(option: Option) -> list[str]:
    text = option.text
    unset = option.default is None or option.default is False or option.default in ((), "")
    if not option.required and not unset:  # 0 is a default worth showing, and equal to False
        text += f" [{_shown(option.default)}]"
    return _row(option.typed, text.strip())


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    return "on" if default is True else str(default)


def _row(left: str, right: str) -> list[str]:
    """Format two columns; a long left column gets its own line."""
    lines = textwrap.wrap(right, _width() - INDENT, break_long_words=False, break_on_hyphens=False)
    first = f"  {left:<{INDENT - 3}} "
    beside = len(first) == INDENT and bool(lines)
    head = [first + lines[0]] if beside else [first.rstrip()]
    return head + [" " * INDENT + line for line in lines[beside:]]


def _paragraphs(docstring: str) -> list[str]:
    """Return a docstring's text before its sections, one line per paragraph."""
    text = inspect.cleandoc(docstring).split("\nArgs:")[0]
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()] or [""]


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(text, _width(), subsequent_indent=" " * indent, break_on_hyphens=False)


def _width() -> int:
    return max(min(shutil.get_terminal_size().columns, WIDEST), INDENT + 20)
