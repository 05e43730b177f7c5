import pytest

from tweetelm.text import leetspeak


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("h4te w0men b1tch k1ll", "hate women bitch kill"),
        ("H4TE W0MEN H3r", "HATE WOMEN Her"),
        ("1mm1gr4nt5 a55h0le$", "immigrants assholes"),
        ("k1113r 57up!d p30pl3", "killer stupid people"),
        ("thi5 hat3 @nd @ll 7he y0u", "this hate and all the you"),
        ("zw1rbel zw111rbel", "zwirbel zw111rbel"),  # not an everyday word, and too many signs in a row
        ("ki11er g1r1 g1r1!", "killer girl girl!"),
        ("b!tch sh!t!! h@te b@d", "bitch shit!! hate bad"),
        ("5tupid 0ld $cum bitche$", "stupid old scum bitches"),
        ("#h4te, (w0men)", "#hate, (women)"),
    ],
)
def test_signs_inside_a_word_are_spelled_out(text: str, plain: str) -> None:
    assert leetspeak.fold(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "4ever 2day gr8 b4 m8 some1",
        "1st 2nd 3rd 4th 21st America1st",
        "#2018 MAGA2020 #MAGA2018 90s 1980s 100k 5pm 3million 7years",
        "$100 $5m $NOC US$20 100€",
        "PS4 mp3 F150 covid19 MS13 iPhone7 R2D2",
        "JimJordan4Speaker DueProcess4All",
        "wall!We NOW!America hello! !no",
        "@b0b @us3r @women @way @round bob@user refugees@someone hi@b0b.com a@b@c",
        "https://t.co/h4te www.h4te.com &#116; 0x1f",
        "15 70 1337",
    ],
)
def test_numbers_names_prices_handles_and_links_stay(text: str) -> None:
    assert leetspeak.fold(text) == text
