"""The rule by which rows are kept from a model, as it is typed: `account:2/5` or `generator:gpt2`."""

import re

FORMS = "account:<fold>/<folds>, such as account:1/5, or generator:<name>, such as generator:gpt2"
_RULE = re.compile(r"account:([1-9]\d*)/([1-9]\d*)|generator:[\w.-]{1,40}", re.ASCII)


def check_rule(rule: str) -> None:
    """Raise ValueError unless the rule has one of the two forms and its fold exists, of two or more."""
    found = _RULE.fullmatch(rule)
    wrong = found and found[1] and not (int(found[1]) <= int(found[2]) and int(found[2]) > 1)
    if not found or wrong:
        raise ValueError(f"data.hold_out is {rule!r}; expected {FORMS}, with at least two folds")
