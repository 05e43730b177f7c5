"""What `tweetelm data mix` prints."""

import shlex
from collections.abc import Iterator

from tweetelm.data.mix.build import Mix
from tweetelm.data.mix.document import accuracy_lines, audit_lines
from tweetelm.data.mix.recipe import GENERATED_TEST
from tweetelm.data.mix.write import Written


def summary(made: Mix, written: Written) -> Iterator[str]:
    """Lines about the rows, the match of cues, the audit, and the next commands."""
    values, folder = written.values, written.task.parent
    yield f"{made.recipe.name}, version {values['version'][:12]}"
    for part in values["parts"]:
        used = ", ".join(f"{count:,} in {split}" for split, count in part["rows"].items())
        yield f"  {part['name']}: {part['read']:,} rows read, {used}"
        for why, count in sorted(part["left_out"].items(), key=lambda item: -item[1]):
            yield f"    {count:>7,} left out: {why}"
    for split, counts in values["splits"].items():
        labels = ", ".join(f"{label} {count:,}" for label, count in counts["label"].items())
        yield f"  {split:<15}{counts['rows']:>7,} rows: {labels}"
    for split, match in made.cues.items():
        yield f"surface cues of {split}:"
        yield from (f"  {line}" for line in accuracy_lines(match))
    yield from (f"! {remark}" for remark in made.remarks)
    yield "audit: " + "\n  ".join(audit_lines(values["audit"]["new_findings"]))
    yield f"{'written to' if written.changed else 'unchanged:'} {folder}"
    yield ""
    yield "next:"
    yield f"  tweetelm train --task {shlex.quote(str(written.task))}"
    if written.test is not None:
        report = f"evaluation-{made.recipe.name}-{GENERATED_TEST}"
        yield f"  tweetelm evaluate --task {shlex.quote(str(written.test))} --out {report}"
