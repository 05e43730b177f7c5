"""normalize: rewrites of tweets, idempotence on any string, and termination."""

import functools
import html
import html.entities
import sys
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tweetelm.config.text_config import TextConfig
from tweetelm.text import homoglyphs, html_entities, leetspeak
from tweetelm.text import normalize as module
from tweetelm.text.normalize import MOST_MARKS, head, normalize

RAW = TextConfig(form="raw")
DEFENCES = ("strip_invisible", "fold_lookalikes", "strip_marks", "fold_leetspeak", "shorten_stretches")
EVERYTHING = TextConfig(defend=True)

# Fragments that complete or break each other when joined; NFC turns U+037E into `;` and U+212A into `K`.
PIECES = [
    "&", "&amp", "&amp;", "amp;", "&#38;", "&#x26;", "#38;", "&lt;", "lt;", "&gt;", "&commat;",
    "&#64", "&#0", "&#x", "&not", "&notit;", "&hellip\u037e", "\u212acedil;", "<", "<U+",
    "<U+0040>", "<U+0026>", "<U+003C>", "U+003C>", "<U+D83D>", "<U+DE00>", "<U+110000>", "<U+0301>",
    ">", "0040", ";", "@", "@x", "@user", "\uff20", "\uff06", "r\u0301", "\u0301", "\u0327", "http",
    "https://", "http://t.co/x", "://", "www.", "www", "w", ".x", "аpple", "\u1e9b\u0323", "\uac00",
    "\u11a8", "\u0958", "\ud83d", "\ude00", "\ufffd", " ", "\n", "\u2028", "\u00a0", "\x1f",
    "\u200b", "\u200d", "\ufeff", "oooo", "e", "\U0001d41a", "\U0001d6fc", "\x00", "@us", "er", "use",
    "&acy;", "cy;", "асу;", "\ufb01", "Ⓐ", "ⅷ", "\u210e\ufe0f", "😀", "\u200d😀", "u5e", "4", "1", "!", "$",
    "h4", "4te", "@ss", "&#48", "&dollar;", "&excl;", "&commat;", "&Zero", "WidthSpace;", "&DownBreve;",
]  # fmt: skip
any_string = st.text(st.characters(exclude_categories=[]), max_size=60)
nasty = st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=[]), max_size=14).map("".join)
strings = any_string | nasty
configs = st.builds(
    TextConfig,
    form=st.sampled_from(["tweet", "raw"]),
    mask_links=st.booleans(),
    mask_mentions=st.booleans(),
    defend=st.booleans(),
    **{name: st.booleans() for name in DEFENCES},
)


@pytest.mark.parametrize(
    ("tweet", "expected"),
    [
        ("plain text, Kept As It Is!", "plain text, Kept As It Is!"),
        ("Tom &amp; Jerry &lt;3", "Tom & Jerry <3"),
        ("twice &amp;amp;amp;lt; encoded", "twice < encoded"),
        ("no semicolon &copy 2026", "no semicolon © 2026"),
        ("&#128512; &#x1F600; &#0;", "😀 😀 \ufffd"),
        ("party <U+1F389><U+0001F44D>", "party 🎉👍"),
        ("halves <U+D83D><U+DE00> and <U+D83D>", "halves 😀 and \ufffd"),
        ("&lt;U+1F389&gt;", "🎉"),
        ("<U+110000>", "\ufffd"),
        ("<U+12> <U+XYZ0> U+1F389", "<U+12> <U+XYZ0> U+1F389"),
        ("pair \ud83d\ude00, lone \ud83d and \ude00", "pair 😀, lone \ufffd and \ufffd"),
        ("cafe\u0301", "café"),
        ("see https://t.co/AbC123 and HTTP://x.org/?q=1#a", "see http and http"),
        ("(www.example.org/page)", "(http"),
        ("awww. http is a protocol", "awww. http is a protocol"),
        (".@bob_99: hi @Ann's cat,@joe", ".@user: hi @user's cat,@user"),
        ("@Zoe\u0301 @José", "@user @user"),
        ("@ noon, 5 @ 3", "@ noon, 5 @ 3"),
        ("&commat;bob &#64;bob <U+0040>bob &amp;#64;bob", "@user @user @user @user"),
        ("https&#58;//t.co/x", "http"),
        ("  a\t b\r\n\u2028c\u00a0 ", "a b c"),
        ("", ""),
        (" \n ", ""),
        ("naïve 日本語 שלום", "naïve 日本語 שלום"),
    ],
)
def test_tweet_form_rewrites_as_documented(tweet: str, expected: str) -> None:
    assert normalize(tweet) == expected


@pytest.mark.parametrize(
    ("tweet", "option", "expected"),
    [
        ("z\u200be\u00adr\u2060o \u202etxt\u202c b\x00e\x9dl", "strip_invisible", "zero txt bel"),
        ("&#8203;a\u200b&am\u200bp;", "strip_invisible", "a&"),
        ("hаte (with a Cyrillic а) но не это", "fold_lookalikes", "hate (with a Cyrillic а) но не это"),
        ("ｗｉｄｅ 𝐛𝐨𝐥𝐝 ＆ａｍｐ；", "fold_lookalikes", "wide bold &"),
        ("h\u0336a\u0336t\u0336e café", "strip_marks", "hate cafe"),
        ("h4te w0men #2018", "fold_leetspeak", "hate women #2018"),
        ("sooooooo goood 1000000", "shorten_stretches", "so good 1000000"),
    ],
)
def test_each_defense_does_its_part_and_is_off_by_default(tweet: str, option: str, expected: str) -> None:
    assert normalize(tweet, TextConfig(**{option: True})) == expected
    assert normalize(tweet) != expected


@given(strings)
def test_defend_switches_every_defense_on(tweet: str) -> None:
    assert normalize(tweet, EVERYTHING) == normalize(tweet, TextConfig(**dict.fromkeys(DEFENCES, True)))


def test_undefended_switches_every_defense_off_and_nothing_else() -> None:
    switched_on = dict.fromkeys(("defend", *DEFENCES), True)
    assert TextConfig(mask_links=False, **switched_on).undefended() == TextConfig(mask_links=False)


def test_only_emoji_joiners_survive_stripping() -> None:
    family, burning = "👩\u200d👩\u200d👧", "❤\ufe0f\u200d🔥"
    stripped = normalize(f"{family} {burning} a\u200db \u200d😀\u200d", TextConfig(strip_invisible=True))
    assert stripped == f"{family} ❤\u200d🔥 ab 😀"


def test_disguises_on_top_of_each_other_come_off() -> None:
    assert normalize("h\u200b4\u0301\u202eａаａ&#116;е", EVERYTHING) == "hate"
    assert normalize("b&#33;t\u0336ｃｃｃh", EVERYTHING) == "bitch"


def test_masks_can_be_switched_off() -> None:
    kept = TextConfig(mask_links=False, mask_mentions=False)
    assert normalize("@bob  https://t.co/x", kept) == "@bob https://t.co/x"


@given(strings)
def test_raw_form_changes_nothing_but_surrogates(tweet: str) -> None:
    assert normalize(tweet, RAW) == tweet.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def test_raw_form_keeps_entities_links_and_space() -> None:
    tweet = " &amp; @bob\nhttps://t.co/x \ud800"
    assert normalize(tweet, RAW) == " &amp; @bob\nhttps://t.co/x \ufffd"


@settings(max_examples=1000)
@given(strings, configs)
def test_normalize_is_idempotent_and_never_raises(tweet: str, config: TextConfig) -> None:
    once = normalize(tweet, config)
    assert normalize(once, config) == once
    once.encode("utf-8")


@settings(max_examples=1000)
@given(strings)
def test_nothing_is_left_to_decode_to_compose_or_to_mask(tweet: str) -> None:
    clean = normalize(tweet)
    assert html.unescape(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert " ".join(clean.split()) == clean
    assert "https://" not in clean.lower()
    assert all(word.startswith("user") for word in clean.split("@")[1:] if word[:1].isalnum())


def weight(text: str) -> int:
    """The weight of the termination proof in `normalize`: every pass that does more than NFC lowers it."""
    plain = unicodedata.normalize("NFD", text)
    return sum(map(character_weight, plain)) - 4 * plain.count("@user")


@functools.cache
def character_weight(character: str) -> int:
    if "\ud800" <= character <= "\udfff":
        return 4
    if (plain := homoglyphs.compatible(character)) != character and homoglyphs._COMPATIBLE.match(character):
        return 1 + sum(map(character_weight, plain))
    if (letter := homoglyphs.MIXED.get(ord(character))) is not None:
        return 1 + character_weight(letter)
    if character == "@":
        return 6
    spacing = character.isspace() and character != " "
    return 2 if character in leetspeak.LETTERS or character in "&2" or spacing else 1


@settings(max_examples=1000)
@given(strings, configs)
def test_every_pass_lowers_the_weight_or_only_composes(tweet: str, config: TextConfig) -> None:
    before = module._repair_surrogates(tweet)
    while (after := module._rewrite(before, config)) != before:
        assert weight(after) < weight(before) or after == unicodedata.normalize("NFC", before)
        before = after


def test_every_named_entity_weighs_more_than_what_it_stands_for() -> None:
    assert all(weight("&" + name) > weight(value) for name, value in html.entities.html5.items())
    assert max(map(len, html.entities.html5)) < html_entities.REACH


def test_references_are_longer_than_their_character() -> None:
    special = [*range(256), *homoglyphs.MIXED, *range(0x2000, 0x2300), *range(0xFB00, 0x10000)]
    for code in {*special, *range(0x1D400, 0x1D800), *range(0x1F100, 0x1F200), sys.maxunicode}:
        for reference in (f"&#{code}", f"&#x{code:x}"):
            assert weight(reference) > weight(html.unescape(reference))
        assert weight(f"<U+{code:04x}>") > weight(chr(code))


def test_characters_weigh_at_most_the_shortest_reference() -> None:
    decomposed = (unicodedata.normalize("NFD", chr(code)) for code in range(128, sys.maxunicode + 1))
    assert max(max(map(len, decomposed)), *map(character_weight, map(chr, homoglyphs.MIXED))) <= 4 < 7
    assert weight("&#128") == 9


def test_folding_lowers_the_weight() -> None:
    for code in (*homoglyphs.MIXED, *range(0x80, 0x3100), *range(0xF900, 0x10000), *range(0x1D400, 0x1F200)):
        text = unicodedata.normalize("NFC", f"a{chr(code)}")
        assert (folded := homoglyphs.fold(text)) == text or weight(folded) < weight(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "tweet",
    [
        "&" + "amp;" * 60_000,
        "&amp;" * 30_000,
        "<U+003C>" + "U+003C>" * 30_000,
        "&#" + "9" * 9_000 + ";",
        "&#" + "0" * 9_000 + "64;",
        "@a" * 100_000,
        "www." * 60_000,
        "9" * 200_000,
        "o" * 200_000,
        "\u0301" * 100_000,
        "a\u0336" * 100_000,
        "h4" * 100_000 + "te",
        "4" * 200_000 + "te",
        "a@" * 100_000,
        "$" * 200_000 + "a",
        "aaabbb" * 30_000,
        "аb" * 100_000,
        "а" * 200_000,
        "&#65286;" + "#65286;" * 15_000,
        "&" * 20_000 + "аcy;" + "cy;" * 20_000,
        "&Zero" * 5_000 + "\u200b" + "WidthSpace;" * 5_000,
        "&Down" * 5_000 + "\u0311" + "Breve;" * 5_000,
        "&" * 15_000 + "ℯ" + "ѕсг;" * 15_000,
        "a" + "\u0301\u0316" * 100_000,
        "\u0344\u0f73" * 50_000,
        "\u0301&#x316;" * 20_000,
        "\u0301\u200b\u0316" * 50_000,
        "👩\u200d👧\ufe0f" * 50_000,
        "\u202e\u202ba" * 50_000,
    ],
    ids=lambda tweet: tweet[:9],
)
def test_long_and_deeply_nested_text_takes_linear_time(tweet: str) -> None:
    started = time.process_time()
    normalize(tweet, EVERYTHING)
    assert time.process_time() - started < 5, "linear: under 1 s; quadratic: minutes"


def test_runs_of_marks_are_bounded_and_languages_keep_theirs() -> None:
    assert normalize("a" + "\u0316" * 200) == "a" + "\u0316" * MOST_MARKS
    for word in ("tiếng Việt", "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", "z\u0335\u0321a\u0334\u0322"):
        assert normalize(word) == unicodedata.normalize("NFC", word)


@given(strings, st.integers(1, 40), configs)
def test_the_head_of_a_text_is_read_as_the_whole(tweet: str, characters: int, config: TextConfig) -> None:
    start, cut = head(tweet, characters, config)
    assert len(start) <= characters
    if not cut:
        assert normalize(start, config) == normalize(tweet, config)


def test_padding_does_not_push_words_out_of_reach() -> None:
    for padding in (" ", "\n\t", "\u2003"):
        assert head(padding * 5000 + "words" + padding * 5000, 100) == ("words", False)
    hidden = "\u200b" * 5000 + "words"
    assert head(hidden, 100, EVERYTHING) == ("words", False)
    assert head(hidden, 100) == ("\u200b" * 100, True)


def test_thousands_of_tweets_take_less_than_a_second() -> None:
    tweets = [f"RT @friend{i}: it &amp; that <U+1F389> https://t.co/{i}" for i in range(5000)]
    started = time.process_time()
    assert {normalize(tweet) for tweet in tweets} == {"RT @user: it & that 🎉 http"}
    assert time.process_time() - started < 1


def test_nested_references_are_idempotent_at_the_cap() -> None:
    for depth in range(module.DECODING_PASSES - 3, module.DECODING_PASSES + 3):
        nested = "&Zero" * depth + "\u200b" + "WidthSpace;" * depth + " a & b <3"
        once = normalize(nested, EVERYTHING)
        assert normalize(once, EVERYTHING) == once
        assert ("&" in once) == (depth < module.DECODING_PASSES - 1)


def test_an_unknown_form_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"text\.form is 'tweets'; expected 'tweet' or 'raw'"):
        TextConfig(form="tweets")  # type: ignore[arg-type]
