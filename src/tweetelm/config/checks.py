"""Validation of settings, from the command line, a search or a stored configuration."""

import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tweetelm.files.paths import expanded


def require(condition: bool, message: str) -> None:
    """Raise ValueError with `message` unless the condition holds."""
    if not condition:
        raise ValueError(message)


def check_choices(part: Any, prefix: str = "") -> None:
    """Check the Literal fields of a section; raises ValueError for an unknown choice.

    The command line checks choices itself; searches and stored configurations do not.
    """
    for name, hint in get_type_hints(type(part)).items():
        if get_origin(hint) is Literal:
            value, choices = getattr(part, name), get_args(hint)
            require(
                value in choices,
                f"{prefix}{name} is {value!r}; expected one of {', '.join(map(repr, choices))}",
            )


def expand_places(part: Any, *names: str) -> None:
    """Expand `~` in these fields; the shell does not expand it after `--flag=`."""
    for name in names:
        value = getattr(part, name)
        if value is not None:
            require(bool(value.strip()), f"{name} is {value!r}; expected a folder or a URL")
            object.__setattr__(part, name, expanded(value))


def check_tweet_files(part: Any, prefix: str) -> None:
    """Check the fields `text` (files of tweets) and `column` of a section, and make `text` a tuple: a stored
    configuration has a list."""
    require(not isinstance(part.text, str), f"{prefix}text is {part.text!r}; expected a list of files")
    require(all(name.strip() for name in part.text), f"{prefix}text is {part.text}; expected names of files")
    object.__setattr__(part, "text", tuple(part.text))
    require(bool(part.column), f"{prefix}column is empty; expected the name of a column")


FORMS = "account:<fold>/<folds>, such as account:1/5, or generator:<name>, such as generator:gpt2"
_RULE = re.compile(r"account:([1-9]\d*)/([1-9]\d*)|generator:[\w.-]{1,40}", re.ASCII)


def check_rule(rule: str) -> None:
    """Raise ValueError unless the rule has one of the two forms, with an existing fold of at least two."""
    found = _RULE.fullmatch(rule)
    wrong = found and found[1] and not (int(found[1]) <= int(found[2]) and int(found[2]) > 1)
    if not found or wrong:
        raise ValueError(f"data.hold_out is {rule!r}; expected {FORMS}, with at least two folds")
