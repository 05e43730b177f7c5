"""Which posts are kept, and what of them."""

from typing import Any

import pytest

from tweetelm.collection.posts import from_text, from_v1, from_v2, is_v2, iso, plain

V2 = {"id": "12", "text": "hello", "created_at": "2026-03-01T12:00:00.000Z", "lang": "en"}
V1 = {"id_str": "12", "full_text": "hello", "created_at": "Sun Mar 01 14:00:00 +0200 2026", "lang": "en"}
STATUS = {"urls": [{"expanded_url": "https://x.com/nasa/status/123"}]}
PAGE = {"urls": [{"expanded_url": "https://x.com/nasa"}, {"expanded_url": "https://example.org/status/1"}]}


def references(*kinds: str) -> dict[str, Any]:
    return {"referenced_tweets": [{"type": kind, "id": "1"} for kind in kinds]}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, ""),
        ({"text": "RT @nasa: hello"}, "retweet"),
        (references("retweeted"), "retweet"),
        (references("quoted"), "quote"),
        (references("replied_to"), "reply"),
        ({"in_reply_to_user_id": "7"}, "reply"),
        (references("replied_to", "quoted"), "quote"),
        ({"scopes": {"followers": False}}, "promoted"),
        ({"scopes": {"followers": True}}, ""),
        ({"text": " \n"}, "empty"),
        ({"text": "@nasa hello"}, ""),
        ({"referenced_tweets": ["quoted"], "note_tweet": "x", "scopes": 5}, ""),
    ],
)
def test_only_original_posts_of_v2_have_no_reason(more: dict[str, Any], reason: str) -> None:
    assert from_v2({**V2, **more}, "ada").reason == reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, ""),
        ({"full_text": "RT @nasa: hello"}, "retweet"),
        ({"retweeted_status": {"id_str": "1"}}, "retweet"),
        ({"is_quote_status": True}, "quote"),
        ({"entities": STATUS}, "quote"),
        ({"entities": PAGE}, ""),
        ({"in_reply_to_status_id_str": "1"}, "reply"),
        ({"in_reply_to_user_id_str": "1"}, "reply"),
        ({"in_reply_to_status_id_str": None}, ""),
        ({"scopes": {"followers": False}}, "promoted"),
        ({"truncated": True}, ""),
        ({"full_text": None, "text": "cut…", "truncated": True}, "cut"),
    ],
)
def test_only_original_posts_of_v1_have_no_reason(more: dict[str, Any], reason: str) -> None:
    assert from_v1({**V1, **more}, "ada").reason == reason


def test_both_versions_give_the_same_post() -> None:
    assert is_v2(V2)
    assert not is_v2(V1)
    assert from_v2(V2, "ada") == from_v1(V1, "ada")
    assert from_v1(V1, "ada").columns() == {
        "id": "12",
        "created_at": "2026-03-01T12:00:00Z",
        "lang": "en",
        "screen_name": "ada",
        "text": "hello",
    }


def test_long_post_has_its_full_text() -> None:
    long = "a" * 400 + " &amp; more"
    assert from_v2({**V2, "note_tweet": {"text": long}}, "ada").text == "a" * 400 + " & more"
    extended = {"full_text": None, "text": "cut…", "truncated": True, "extended_tweet": {"full_text": long}}
    assert from_v1({**V1, **extended}, "ada").text == "a" * 400 + " & more"


def test_html_references_are_decoded_once() -> None:
    assert plain("1 &lt; 2 &amp;amp; https://t.co/x") == "1 < 2 &amp; https://t.co/x"


def test_text_can_be_written_as_utf8_lines() -> None:
    assert plain("a\ud800b\0c\r\nd\re") == "a\ufffdbc\nd\ne"


@pytest.mark.parametrize("bad", [None, 5, ["x"]])
def test_text_that_is_none_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="expected a string"):
        plain(bad)


@pytest.mark.parametrize("bad", ["", "12x", None, True, 1.5, "1" * 20, "../1"])
def test_id_that_is_no_number_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="expected a whole number"):
        from_text("hello", id=bad, screen_name="ada", created_at="", lang="")


def test_malformed_time_is_refused() -> None:
    assert iso(None) == ""
    assert iso("2026-03-01 12:00") == "2026-03-01T12:00:00Z"
    with pytest.raises(ValueError, match="expected 2026-03-01T12:00:00Z"):
        iso("yesterday")
