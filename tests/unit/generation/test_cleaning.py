"""What is around a tweet in an answer is removed; what is no tweet is recognized."""

import pytest

from tweetelm.generation.cleaning import clean
from tweetelm.generation.request import Request


def request(user: str = "Write a tweet about: rain, roof", begin: str = "") -> Request:
    return Request(
        id="0",
        strategy="topic",
        temperature=1.0,
        seed=0,
        system="Reply with one tweet.",
        user=user,
        begin=begin,
    )


@pytest.mark.parametrize(
    ("answer", "tweet"),
    [
        ("The roof leaks again", "The roof leaks again"),
        ('"The roof leaks again"', "The roof leaks again"),
        ("“The roof leaks again”", "The roof leaks again"),
        ("Sure! Here's a tweet about rain: The roof leaks again", "The roof leaks again"),
        ('Here is the tweet:\n\n"The roof leaks again"', "The roof leaks again"),
        ("Tweet: The roof leaks again", "The roof leaks again"),
        ("assistant\nThe roof leaks again<|im_end|>\n<|im_start|>user", "The roof leaks again"),
        ("<|im_start|>The roof leaks again", "The roof leaks again"),
        ("- The roof leaks again", "The roof leaks again"),
        ("The roof leaks again\n\nThis tweet is about rain.", "The roof leaks again"),
        ("The roof\nleaks &amp; drips", "The roof leaks & drips"),
        ('He said "no" and left', 'He said "no" and left'),
        ('"No" he said and "bye"', '"No" he said and "bye"'),
        ("<think>A tweet about rain.</think>The roof leaks again", "The roof leaks again"),
        ("My favorite thing about rain: it ends", "My favorite thing about rain: it ends"),
    ],
)
def test_wrapping_is_removed(answer: str, tweet: str) -> None:
    assert clean(answer, request()) == (tweet, "")


@pytest.mark.parametrize(
    "answer",
    [
        "As an AI language model, I cannot write tweets",
        "I'm sorry, but I can't assist with that.",
        "I cannot fulfill this request",
        "I don't have personal opinions about rain",
    ],
)
def test_refusals_are_recognized(answer: str) -> None:
    assert clean(answer, request())[1] == "refusal"


@pytest.mark.parametrize("answer", ["", "  \n ", "<|im_end|>", '""'])
def test_empty_answers_are_recognized(answer: str) -> None:
    assert clean(answer, request())[1] == "empty"


def test_instructions_are_an_echo() -> None:
    assert clean("Write a tweet about: rain, roof and more", request())[1] == "echo of the prompt"


def test_eight_words_of_the_prompt_are_an_echo() -> None:
    shown = "Reply to this tweet:\nthe neighbors cat sat on our roof all night long"
    assert clean("lol the neighbors cat sat on our roof all", request(shown))[1] == "echo of the prompt"
    assert clean("the cat sat on our roof", request(shown)) == ("the cat sat on our roof", "")


@pytest.mark.parametrize("answer", ["it leaks again", "The roof it leaks again", "the Roof it leaks again"])
def test_beginning_is_there_once(answer: str) -> None:
    asked = request("Write one tweet that begins with: The roof", begin="The roof")
    assert clean(answer, asked)[0].casefold() == "the roof it leaks again"


def test_a_beginning_alone_is_empty() -> None:
    assert clean("", request("Write one tweet that begins with: The roof", begin="The roof"))[1] == "empty"


def test_cut_answers_are_recognized() -> None:
    assert clean("The roof leaks and the", request(), finished=False)[1] == "cut off"
    assert clean("Message to the landlord:", request())[1] == "cut off"
    whole = clean("The roof leaks.\n\nMoreover, the", request(), finished=False)
    assert whole == ("The roof leaks.", "")


@pytest.mark.parametrize(
    ("answer", "tweet"),
    [
        (", so happy today", "I am, so happy today"),
        ("so happy today", "I am so happy today"),
        ("I am so happy today", "I am so happy today"),
    ],
)
def test_beginning_is_joined_without_a_space_before_punctuation(answer: str, tweet: str) -> None:
    assert clean(answer, request("Write one tweet that begins with: I am", begin="I am")) == (tweet, "")


def test_thought_that_was_cut_off_is_empty() -> None:
    assert clean("<think>I should write about rain", request())[1] == "empty"
