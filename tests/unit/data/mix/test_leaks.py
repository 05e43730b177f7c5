"""Rows of one person, prompt or source stay together; copies, damage and foreign sources are left out."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import mixes
from tweetelm.data.audit.text_damage import DAMAGE
from tweetelm.data.duplicates import near_duplicate_key
from tweetelm.data.load import SPLITS
from tweetelm.data.mix.base import Base
from tweetelm.data.mix.filters import LeftOut, apart_from_base, usable
from tweetelm.data.mix.quotas import balance, limit
from tweetelm.data.mix.recipe import EVERY, Quotas
from tweetelm.data.mix.rows import Row
from tweetelm.data.mix.sides import CROSSES, divide_sides
from tweetelm.data.personas import persona
from tweetelm.tasks import DEEPFAKE

PEOPLE = ("", "ann", "Ann", "bob", "realDonaldTrump", "DeepDrumpf", "elonmusk", "gpt")
PARTS = {"train": 0.0, "test": 1.0, "some": 0.3}


def row(text: str = "a plain tweet of mine", **changes: str) -> Row:
    values = {"label": "bot", "account": "ann", "generator": "gpt", "part": "some"} | changes
    return Row(text=text, **values)


rows_of_parts = st.lists(
    st.builds(
        row,
        part=st.sampled_from(sorted(PARTS)),
        account=st.sampled_from(PEOPLE),
        imitated=st.sampled_from(PEOPLE),
        prompt_id=st.sampled_from(("", "p1", "p2", "p3", "p4", "p5")),
        sources=st.lists(st.integers(0, 12).map(str), max_size=2).map(" ".join),
    ),
    max_size=40,
)


def shared(row: Row) -> set[tuple[str, str]]:
    """What no other split may have; a generator's name as the author is nobody."""
    people = {name for name in (row.account, row.imitated) if name not in ("", row.generator)}
    found = {("person", persona(name).casefold()) for name in people}
    found |= {("prompt", row.prompt_id)} if row.prompt_id else set()
    return found | {("source", source) for source in row.sources.split()}


@settings(max_examples=60)
@given(rows=rows_of_parts, seed=st.integers(0, 3))
def test_no_person_prompt_or_source_crosses(rows: list[Row], seed: int) -> None:
    left_out: LeftOut = Counter()
    train, test = divide_sides(rows, PARTS, seed, left_out)
    kept = [set().union(*map(shared, side)) for side in (train, test)]
    assert not kept[0] & kept[1]
    assert len(train) + len(test) + left_out.total() == len(rows)
    assert all(PARTS[each.part] < 1 for each in train)
    assert all(PARTS[each.part] > 0 for each in test)
    assert {reason for _, reason in left_out} <= {CROSSES}
    assert not [part for part, _ in left_out if part == "some"]  # may go to either side


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_share_of_many_persons_is_met(share: float) -> None:
    rows = [row(account="", imitated=f"person{number % 40}") for number in range(800)]
    _, test = divide_sides(rows, {"some": share}, 0, Counter())
    assert abs(len(test) / 800 - share) <= 20 / 800


def test_human_and_imitators_are_one_person() -> None:
    rows = [row(account="realDonaldTrump", part="train"), row(imitated="DeepDrumpf", account="", part="test")]
    left_out: LeftOut = Counter()
    train, test = divide_sides(rows, PARTS, 0, left_out)
    assert len(train) + len(test) == 1
    assert left_out.total() == 1


words = st.lists(
    st.sampled_from(["bus", "park", "rain", "tea", "song", "late", "cold", "new"]), max_size=12
).map(" ".join)
odd = st.sampled_from(("RT @ann: bus park", "http://x.co/1", "a &amp; b"))
texts = st.one_of(words, st.text(max_size=30), odd)


@settings(max_examples=40)
@given(base=st.lists(texts, max_size=9), added=st.lists(texts, max_size=9))
def test_usable_rows_are_undamaged_and_new(base: list[str], added: list[str]) -> None:
    splits = {name: [row(text) for text in base[at::3]] for at, name in enumerate(SPLITS)}
    left_out: LeftOut = Counter()
    kept = usable([row(text) for text in added], Base(task=DEEPFAKE, splits=splits), left_out)
    keys = [near_duplicate_key(each.text) for each in kept]
    assert len(kept) + left_out.total() == len(added)
    assert all(keys)
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {near_duplicate_key(text) for text in base}
    assert not [what for each in kept for what, is_damaged in DAMAGE.items() if is_damaged(each.text)]


LONG_TWEET = "the council said that the new bus line opens on Monday if it does not snow again"


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_near_copy_of_a_base_row_is_left_out(split: str) -> None:
    splits: dict[str, list[Row]] = {"train": [], "validation": [], "test": []} | {split: [row(LONG_TWEET)]}
    left_out: LeftOut = Counter()
    changed = LONG_TWEET.replace("Monday", "Tuesday").upper() + " http://x.co/1"
    kept = usable([row(changed), row("quite another thing")], Base(task=DEEPFAKE, splits=splits), left_out)
    assert [each.text for each in kept] == ["quite another thing"]
    assert left_out == {("some", f"near-copy of a {split} row of the base"): 1}


@pytest.mark.parametrize(
    ("sources", "kept"), [("0 1", 1), ("", 1), ("0 2", 0), ("-1", 0), ("x", 0), ("²", 0)]
)
def test_sources_must_be_training_rows(sources: str, kept: int) -> None:
    train = [row("bus late"), row("tea cold")]
    base = Base(task=DEEPFAKE, splits={"train": train, "validation": [], "test": []})
    assert len(usable([row("some new thing", sources=sources)], base, Counter())) == kept


def test_authors_do_not_cross_from_the_base() -> None:
    def of(account: str) -> Row:
        return row(account=account)

    splits = {"train": [of("ann")], "validation": [of("ann"), of("vic")], "test": [of("tess")]}
    base, left_out = Base(task=DEEPFAKE, splits=splits), Counter[tuple[str, str]]()
    authors = [of(name) for name in ("ANN", "Vic", "tess", "new")]
    train, test = apart_from_base(authors, authors, base, left_out)
    assert [each.account for each in train] == ["ANN", "new"]
    assert [each.account for each in test] == ["tess", "new"]
    assert left_out.total() == 4


@settings(max_examples=40)
@given(rows=rows_of_parts, most=st.integers(0, 5), own=st.integers(0, 9), seed=st.integers(0, 2))
def test_quotas_are_maxima(rows: list[Row], most: int, own: int, seed: int) -> None:
    quotas = Quotas(account={EVERY: most, "bob": own}, label={"bot": 20})
    left_out: LeftOut = Counter()
    kept = limit(rows, quotas, seed, left_out)
    counts = Counter(each.account for each in kept if each.account not in ("", "gpt"))
    assert len(kept) <= 20
    assert all(count <= (own if name == "bob" else most) for name, count in counts.items())
    assert len(kept) + left_out.total() == len(rows)
    limits = {"bob": own, "": float("inf"), "gpt": float("inf")}
    wanted = sum(min(limits.get(name, most), n) for name, n in Counter(r.account for r in rows).items())
    assert len(kept) == min(20, wanted)  # no row is left out without need


def test_account_quota_limits_authors_only() -> None:
    rows = [row(account=name, generator="gpt") for name in ("gpt", "", "ann", "bob") for _ in range(4)]
    left_out: LeftOut = Counter()
    kept = limit(rows, Quotas(account={EVERY: 1, "gpt": 1}), 0, left_out)
    assert Counter(each.account for each in kept) == {"gpt": 4, "": 4, "ann": 1, "bob": 1}
    assert left_out == {("some", "quota of its account"): 6}


def test_balance_removes_added_rows_only() -> None:
    present = [row(label="human")] * 5 + [row()] * 3
    added = [row(label="human")] * 4 + [row()] * 7
    left_out: LeftOut = Counter()
    kept = balance(added, present, ("human", "bot"), 0, left_out)
    assert Counter(each.label for each in [*present, *kept]) == {"human": 9, "bot": 9}
    assert left_out == {("some", "balance of labels"): 1}
    only_bots = balance([row()] * 7, present, ("human", "bot"), 0, Counter())
    assert Counter(each.label for each in [*present, *only_bots]) == {"human": 5, "bot": 5}


def test_made_up_tweets_are_no_near_copies() -> None:
    found: list[dict[str, Any]] = [*mixes.human_rows(200, 0), *mixes.generated_rows(200)]
    base = Base(splits={"train": [], "validation": [], "test": []})
    assert len(usable([row(each["text"]) for each in found], base, Counter())) >= 398
