from collections import Counter

import pytest

from tests.support.keyword_classifier import KeywordClassifier
from tweetelm.config.text_config import TextConfig
from tweetelm.evaluation.behavior.cases import Case, Functionality, Group, about, changed
from tweetelm.evaluation.behavior.suite import behavior, run, suite
from tweetelm.evaluation.report.document import Interval
from tweetelm.tasks import DEEPFAKE, HATE, TASKS, Task
from tweetelm.text.normalize import normalize

MARTIANS = Group("Martians", "a Martian", "Martians")


def test_a_template_is_said_of_every_group() -> None:
    moon = Group("moon people", "a moon person", "MoonPeople")
    assert about("{Them} like {one}\n#No{tag}, {them}", [MARTIANS, moon]) == (
        Case("Martians like a Martian", "Martians"),
        Case("Moon people like a moon person", "moon people"),
        Case("#NoMartians, Martians", "Martians"),
        Case("#NoMoonPeople, moon people", "moon people"),
    )


def test_a_text_that_a_change_leaves_alone_is_no_case() -> None:
    assert changed(["ab", "cd"], lambda text: text.replace("a", "x")) == (Case("xb", original="ab"),)


def test_a_functionality_without_cases_or_originals_is_refused() -> None:
    with pytest.raises(ValueError, match="'x' has no cases"):
        Functionality(name="x", claim="y", expected="hate", cases=())
    with pytest.raises(ValueError, match="has a case without original"):
        Functionality(name="x", claim="y", expected=None, cases=(Case("z"),))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_behavior_groups_have_unique_names_and_cases(task: Task) -> None:
    functionalities = suite(task)
    assert len(functionalities) >= (29 if task is HATE else 10)
    assert max(Counter(f.name for f in functionalities).values()) == 1
    for functionality in functionalities:
        assert functionality.expected in (*task.labels, None)
        assert len({case.text for case in functionality.cases}) == len(functionality.cases) >= 15
        assert not any("{" in case.text or case.text != case.text.lstrip() for case in functionality.cases)


def test_no_text_is_expected_to_be_hate_and_not() -> None:
    expected = {(case.text, f.expected) for f in suite(HATE) for case in f.cases}
    assert max(Counter(text for text, _ in expected).values()) == 1


def test_the_suite_is_the_same_at_every_call() -> None:
    assert suite(HATE) == suite(HATE)
    assert suite(DEEPFAKE) == suite(DEEPFAKE)


def test_never_hate_model_passes_only_harmless_cases() -> None:
    for outcome in run(KeywordClassifier(HATE)):
        assert set(outcome.passed) == {outcome.functionality.expected == "not-hate"}


def test_a_model_of_one_keyword_is_seen_through() -> None:
    rates = {o.functionality.name: sum(o.passed) for o in run(KeywordClassifier(HATE, ("despise",)))}
    assert rates["hate: strong feeling"] == 9  # one of three templates
    assert rates["abuse of things"] == 14  # "I despise cold coffee" is predicted hate
    assert rates["hate: dehumanization"] == 0


def test_spelling_variants_reach_a_model_that_undoes_them() -> None:
    words = ("vermin", "disgusting")
    rates = [
        {o.functionality.name: sum(o.passed) for o in run(KeywordClassifier(HATE, words, text))}
        for text in (TextConfig(), TextConfig(defend=True))
    ]
    assert [rate["spelling: zero-width characters"] for rate in rates] == [0, 18]
    assert [rate["spelling: look-alike letters"] for rate in rates] == [0, 18]
    assert [rate["spelling: capitals"] for rate in rates] == [18, 18]


def test_escapes_and_masked_addresses_never_change_a_verdict() -> None:
    """Normalization maps these cases and their originals to the same text."""
    for functionality in suite(DEEPFAKE):
        same = [normalize(case.text) == normalize(str(case.original)) for case in functionality.cases]
        masked = (
            "another link",
            "another name",
            "escaped emoji",
            "space at the end",
            "double space",
            "entity",
        )
        assert all(same) == (functionality.name in masked), functionality.name


def test_flipped_prediction_fails_an_invariance() -> None:
    outcomes = run(KeywordClassifier(DEEPFAKE, ("today",)), ["good morning", "see you today"])
    passed = {o.functionality.name: o.passed for o in outcomes}
    assert passed["hashtag"] == (False, True)
    assert passed["one emoji more"] == (True, True)
    assert passed["one typo"] == (True, False)  # "tdoay" is no longer the keyword
    assert "another link" not in passed, "neither text has a link"


def test_the_section_holds_rates_with_intervals_and_no_case() -> None:
    section = behavior(KeywordClassifier(HATE, ("vermin",)))
    functionalities, groups = section.tables
    rows = {row[0]: row for row in functionalities.rows}
    assert rows["hate: dehumanization"][2:4] == ("hate", 27)
    rate = rows["hate: dehumanization"][4]
    assert isinstance(rate, Interval)
    assert (rate.value, rate.low < 1 / 3 < rate.high) == (1 / 3, True)
    assert [row[0] for row in groups.rows][:3] == ["women", "immigrants", "refugees"]
    harmless, hateful = groups.rows[0][1:]
    assert isinstance(harmless, Interval)
    assert isinstance(hateful, Interval)
    assert (harmless.value, hateful.value) == (1.0, 2 / 75)  # unchanged, and in capitals
    assert "vermin, plain" not in repr(section)


def test_given_tweets_are_counted_and_not_kept() -> None:
    section = behavior(KeywordClassifier(DEEPFAKE), ["a secret phrase here"])
    assert section.text[0].startswith("1 tweets, each with a change")
    assert "secret" not in repr(section)
