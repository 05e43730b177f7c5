"""mix.json and README.md of a mixed dataset: the same facts for machines and for people."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tweetelm.data.mix.build import Mix
from tweetelm.data.mix.matching import CueMatch
from tweetelm.data.mix.recipe import GENERATED_TEST
from tweetelm.data.mix.rows import Row
from tweetelm.data.mix.task_files import license_of
from tweetelm.files.hashing import sha256
from tweetelm.version import __version__

_MOST_ACCOUNTS = 40  # rows of the README's table
NewFindings = Mapping[str, int]
"""Findings of the audit that the base does not have: number of rows by what and where."""


def version_of(made: Mix) -> str:
    """sha256 of the recipe, the base's files and the parts' files."""
    whole = {
        "recipe": made.recipe.values,
        "base": made.base.md5,
        "parts": [part.digest for part in made.parts],
    }
    return sha256(_canonical(whole))


def recipe_digest(made: Mix) -> str:
    """sha256 of the recipe's values; comments and layout do not count."""
    return sha256(_canonical(made.recipe.values))


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()


def facts(made: Mix, files: Mapping[str, bytes], found: NewFindings) -> dict[str, Any]:
    """The content of mix.json."""
    task = made.base.task
    return {
        "name": made.recipe.name,
        "version": version_of(made),
        "recipe": made.recipe.values,
        "recipe_sha256": recipe_digest(made),
        "base": {task.name: made.base.md5} if task else {},
        "parts": [_part(made, position) for position in range(len(made.parts))],
        "license": license_of(made),
        "splits": {split: _counts(rows) for split, rows in made.splits.items()},
        "cues": {split: dataclasses.asdict(match) for split, match in made.cues.items()},
        "audit": {"clean": not found, "new_findings": dict(found)},
        "remarks": made.remarks,
        "tweetelm": __version__,
        "files": {name: sha256(content) for name, content in files.items()},
    }


def _part(made: Mix, position: int) -> dict[str, Any]:
    part = made.parts[position]
    name = part.part.name
    used = {split: sum(row.part == name for row in rows) for split, rows in made.splits.items()}
    return {
        "name": name,
        "sha256": part.digest,
        "files": part.sha256,
        "license": part.license,
        "manifest": {key: part.manifest[key] for key in ("kind", "created") if key in part.manifest},
        "read": len(part.rows),
        "rows": {split: count for split, count in used.items() if count},
        "left_out": {why: count for (whose, why), count in sorted(made.left_out.items()) if whose == name},
    }


def _counts(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "rows": len(rows),
        **{
            key: dict(sorted(Counter(str(getattr(row, key)) for row in rows).items()))
            for key in ("label", "generator", "part", "account")
        },
    }


def readme(made: Mix, values: Mapping[str, Any]) -> str:
    """The dataset card, from the content of mix.json."""
    name = made.recipe.name
    sections = [
        f"# {name}, version {values['version'][:12]}",
        _intro(made, values),
        "## Parts\n\n" + _parts_table(values),
        "## Left out\n\n" + _left_out_table(values),
        "## Rows\n\n" + _rows_table(values, ("label", "generator", "part")),
        "## Authors\n\n" + _rows_table(values, ("account",)),
        *(f"## Surface cues: {split}\n\n" + cues_text(match) for split, match in made.cues.items()),
        "## Audit\n\n" + "\n".join(audit_lines(values["audit"]["new_findings"])),
        "## Terms\n\n" + values["license"] + ". Tweets are personal data of their authors.",
    ]
    return "\n\n".join(sections) + "\n"


def _intro(made: Mix, values: Mapping[str, Any]) -> str:
    base = made.base.task
    lines = [
        f"Version `{values['version']}`, recipe sha256 `{values['recipe_sha256']}`, "
        f"tweetelm {values['tweetelm']}.",
        f"Validation and test are those of {base.name}, row by row."
        if base
        else "Divided by the recipe's rule.",
    ]
    if GENERATED_TEST in made.splits:
        lines.append(
            f"`{made.recipe.name}-{GENERATED_TEST}.toml` tests on {GENERATED_TEST}.csv, held out for testing."
        )
    lines += [f"Note: {remark}." for remark in made.remarks]
    if made.recipe.quotas.balance or any(vars(made.recipe.quotas).values()):
        lines.append(
            f"Quotas of added rows: `{json.dumps(made.recipe.values.get('quotas', {}), sort_keys=True)}`."
        )
    return " ".join(lines)


def _parts_table(values: Mapping[str, Any]) -> str:
    rows = [("base", name, f"md5 `{md5}`", "", "", "", "") for name, md5 in values["base"].items()]
    rows += [
        (
            part["manifest"].get("kind", "part"),
            part["name"],
            f"sha256 `{part['sha256']}`",
            part["read"],
            sum(part["rows"].values()),
            part["manifest"].get("created", ""),
            part["license"],
        )
        for part in values["parts"]
    ]
    return markdown(("kind", "name", "hash", "read", "used", "created", "terms"), rows)


def _left_out_table(values: Mapping[str, Any]) -> str:
    rows = [(part["name"], why, count) for part in values["parts"] for why, count in part["left_out"].items()]
    return markdown(("part", "reason", "rows"), rows) if rows else "Nothing."


def _rows_table(values: Mapping[str, Any], keys: Sequence[str]) -> str:
    splits = values["splits"]
    lines: list[tuple[Any, ...]] = [("all", "", *(splits[split]["rows"] for split in splits))]
    for key in keys:
        names = Counter({name: 0 for split in splits for name in splits[split][key]})
        for split in splits:
            names.update(splits[split][key])
        order = sorted(names, key=lambda name: (-names[name], name))
        shown = order[:_MOST_ACCOUNTS]
        lines += [
            (key, name or "–", *(splits[split][key].get(name, 0) for split in splits)) for name in shown
        ]
        if others := order[_MOST_ACCOUNTS:]:
            sums = (sum(splits[split][key].get(name, 0) for name in others) for split in splits)
            lines.append((key, f"{len(others)} others", *sums))
    return markdown(("", "", *splits), lines)


def cues_text(match: CueMatch) -> str:
    """The match of cues in words and as a table."""
    rows = [
        (name, *(f"{mean:.3f}" for mean in match.means[name]), *(f"{smd:+.3f}" for smd in match.smd[name]))
        for name in match.means
    ]
    partners = "counterparts" if match.matched else "random human"
    heads = ("cue", "machine before", "after", partners, "all human", "SMD before", "SMD after")
    return "\n".join([*accuracy_lines(match), "", markdown(heads, rows)])


def accuracy_lines(match: CueMatch) -> list[str]:
    """Sentences about the rows and accuracies of a match."""
    found = {
        name: "too few rows" if value is None else f"{value:.3f}" for name, value in match.accuracy.items()
    }
    reached = (
        ""
        if match.reached
        else f" (the goal, within {match.goal:g} of chance, is not reached or not measurable)"
    )
    pairs = (
        f"{match.counterparts:,} of them have a human counterpart with the same cues."
        if match.matched
        else "They were not matched to human rows."
    )
    return [
        f"{match.rows[1]:,} of {match.rows[0]:,} machine rows are kept. {pairs}",
        f"Accuracy of a classifier on cues alone (chance: 0.500): before {found['before']}, after "
        f"{found['after']}{reached}.",
        f"Against as many of all {match.human:,} human rows before quotas, it is {found['after_all']} after: "
        "no choice of machine rows adds cues that they lack.",
    ]


def audit_lines(found: NewFindings) -> list[str]:
    """The outcome of the audit."""
    if not found:
        return ["Clean: no finding that the base does not have."]
    return [f"! {rows} rows: {what}" for what, rows in found.items()]


def markdown(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )
