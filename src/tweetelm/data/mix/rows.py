"""A row of a mixed dataset, and the columns of its files."""

from dataclasses import dataclass

from tweetelm.data.part import COLUMNS as PART_COLUMNS


@dataclass(frozen=True, kw_only=True)
class Row:
    """A tweet with what the rules need to know.

    Attributes:
        text: the tweet.
        label: its label.
        account: its author; empty if unknown, or if the base has no authors.
        generator: what wrote it, in TweepFake's column class_type.
        part: the part that it comes from, or the base's name.
        prompt_id: the prompt that it answers; empty without a prompt.
        imitated: the account whose tweets the prompt showed; empty without one.
        sources: row numbers of the base's training split that the prompt showed, separated by spaces.
    """

    text: str
    label: str
    account: str
    generator: str
    part: str
    prompt_id: str = ""
    imitated: str = ""
    sources: str = ""

    @property
    def author(self) -> str:
        """The account; empty if it is the generator's name, which is no author."""
        return "" if self.account == self.generator else self.account

    @property
    def fields(self) -> tuple[str, ...]:
        """The values of `COLUMNS`."""
        own = (self.account, self.text, self.label, self.generator)
        return (*own, self.part, self.prompt_id, self.imitated, self.sources)


COLUMNS = (*PART_COLUMNS, "part", "prompt_id", "imitated", "sources")
"""The header of a file: TweepFake's columns first."""
