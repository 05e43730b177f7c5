"""Writes a generation's rows, manifest and card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tweetelm.data.part import write_part
from tweetelm.files import atomic
from tweetelm.generation.filters import REASONS, Outcome, Row
from tweetelm.generation.request import Answer

_FURTHER = ("prompt_id", "strategy", "temperature", "seed", "imitated", "sources", "weights")
_SHOWN = 10  # tweets in the card


def write_result(
    folder: Path,
    outcome: Outcome,
    answers: Mapping[str, Answer],
    settings: Mapping[str, Any],
    *,
    label: str,
    generator: Mapping[str, str],
) -> None:
    """Write rows.csv, manifest.json and README.md.

    Args:
        folder: of the part.
        outcome: rows and counts.
        answers: all answers, for the number of tokens.
        settings: what the rows depend on.
        label: of the rows, the task's label for machine-written tweets.
        generator: `name`, `sha256` of the weights (empty behind an endpoint) and `license`.
    """
    counts = {
        "answers": outcome.answers,
        "rejected": {reason: outcome.rejected[reason] for reason in REASONS},
        "by_strategy": {name: dict(sorted(found.items())) for name, found in outcome.by_strategy.items()},
        "toxic": outcome.toxic,
        "prompt_tokens": sum(answer.prompt_tokens for answer in answers.values()),
        "completion_tokens": sum(answer.completion_tokens for answer in answers.values()),
    }
    rows = [_columns(row, label, generator) for row in outcome.rows]
    manifest = write_part(
        str(folder), "generated", rows, _FURTHER, settings, generator=dict(generator), counts=counts
    )
    atomic.write_text(folder / "README.md", _card(manifest, outcome))


def _columns(row: Row, label: str, generator: Mapping[str, str]) -> dict[str, object]:
    request = row.request
    return {
        "screen_name": generator["name"],
        "text": row.text,
        "account.type": label,
        "class_type": generator["name"],
        "prompt_id": request.id,
        "strategy": request.strategy,
        "temperature": request.temperature,
        "seed": request.seed,
        "imitated": request.imitated,
        "sources": " ".join(map(str, request.sources)),
        "weights": generator["sha256"][:12],
    }


def summary(outcome: Outcome) -> list[str]:
    """The share that each filter took, one a line."""
    total = max(outcome.answers, 1)
    lines = [f"{len(outcome.rows):,} of {outcome.answers:,} answers kept ({len(outcome.rows) / total:.0%})"]
    lines += [
        f"  {reason:24} {outcome.rejected[reason]:6,} {outcome.rejected[reason] / total:6.1%}"
        for reason in REASONS
        if outcome.rejected[reason]
    ]
    return [*lines, f"{outcome.toxic:,} kept tweets contain a word of better-profanity's list"]


def _card(manifest: Mapping[str, Any], outcome: Outcome) -> str:
    generator, settings, counts = manifest["generator"], manifest["settings"], manifest["counts"]
    total = max(outcome.answers, 1)
    taken = [(reason, outcome.rejected[reason]) for reason in REASONS]
    table = [f"| {reason} | {count:,} | {count / total:.1%} |" for reason, count in taken]
    strategies = [
        f"| {name} | {found['kept']:,} | {sum(found.values()):,} |"
        for name, found in sorted(outcome.by_strategy.items())
    ]
    step = max(1, len(outcome.rows) // _SHOWN)
    shown = [f"- {row.text} *({row.request.strategy})*" for row in outcome.rows[::step][:_SHOWN]]
    return "\n".join(
        [
            f"# {manifest['rows']:,} tweets written by {generator['name']}",
            "",
            "No person wrote these tweets. They serve to train and test detectors of machine-written text.",
            "",
            f"- Generator: {generator['name']}, weights {generator['sha256'] or 'unknown'}, license "
            f"{generator['license']}",
            f"- Prompts: human tweets of the training split of `{settings['task']}` only "
            f"({settings['data']}); strategies {', '.join(settings['strategies'])}; temperatures "
            f"{', '.join(map(str, settings['temperatures']))}; seed {settings['seed']}",
            f"- Tokens: {counts['prompt_tokens']:,} of prompts, {counts['completion_tokens']:,} of answers",
            f"- Created {manifest['created']}; rows.csv has sha256 {manifest['sha256']}",
            f"- {outcome.toxic:,} tweets contain a word of better-profanity's list; they were not removed",
            "",
            "## Rejected answers",
            "",
            f"Of {outcome.answers:,} answers:",
            "",
            "| Reason | Answers | Share |",
            "|---|---|---|",
            *table,
            "",
            "## Strategies",
            "",
            "| Strategy | Kept | Answers |",
            "|---|---|---|",
            *strategies,
            "",
            "## Examples",
            "",
            *shown,
            "",
            "## Limits",
            "",
            "The filters recognize English refusals and lead-ins by their wording. Small models contradict "
            "themselves, invent names and repeat words. Links and mentions are masked (`http`, `@user`), as "
            "in the prompts. The prompts contain tweets of real people; the rows may say false things about "
            "them.",
            "",
        ]
    )
