"""Stretched words, `haaaate` and `sooooo`, shortened to their plain spelling as far as it can be told."""

import re

DOUBLED = frozenset(
    """
    accept access accident accord account accuse across add address affair affect afford agree all allow
    announce annoy app appear apple apply appoint approach arrest arrive arrow ass assault assume attack
    attempt attend attention attitude ball bass battle bee been beer beggar beginning bell better bill
    bitter bless blood bloom blossom bobby boo book boom boost boot boss bottle bottom breed brilliant
    bubble buddy buff bull bullet bully bunny business butt butter button cabbage call cannot carry cell
    channel cheek cheer cheese cherry chill choose class cliff coffee collect college comma command
    comment commit committee common communist connect cook cool correct cotton creep cross cuff cunning
    current curry daddy dagger deep deer degree differ different difficult dinner disappear disappoint
    discuss dizzy doll dollar door dress drill dull dummy eel effect effort egg employee error exceed
    express fall fee feel feet fell fellow ferry fill finally fleet flood floor fluff follow food fool
    foot free freedom full funny furry fuss gall gimme glass goddess good goofy goose grammar grass
    green greet grill gross guess hall hammer happen happy heel hell hello hill hiss hobby holly hood
    hook hoop horror hurry ill illegal immediate immigrant immigration impossible inner issue jazz jeep
    keen keep kill kiss knee less lesson letter little look loop loose loss lottery luggage mall manner
    marry mass matter meet mess message middle mill millennial million mirror miss mommy mood moon moss
    nanny narrow necessary need needle nook noon null occur odd off offer office official oops opposite
    pass passion peek peel peep penny pepper piss pizza poll pool poop poor poss possible press pretty
    process proof puff pull puppy pussy puzzle quarrel queen queer rabbit rally reef refugee ribbon
    riddle roll roof room roommate root rubber rubbish scooter screen see seed seek seem seen sell
    session settle shall sheep sheer shell shitty shoot silly sissy skill skull sleep small smell smooth
    sniff soccer soon sorry speech speed spell spill spoof spoon staff stall steel steep still stood
    stool stoop street stress stuff succeed success sudden suffer suggest summer sunny supper supply
    support suppose sweep sweet swell tall teen teeth tell tennis terrible terror three thrill till toll
    tomorrow too took tool tooth toss traffic tree trigger trillion troop tummy twitter upper village
    wall week weep well wheel will winner woo wood wool worry yell yellow zoo zoom
    """.split()  # noqa: SIM905
)
"""Everyday words with a double letter, which a stretched one goes back to."""

MOST_STRETCHES = 3
_WORD = re.compile(r"[^\W\d_]+")
_STRETCH = re.compile(r"([^\W\d_])\1\1+")
_ONE_LETTER = re.compile(r"([^\W\d_])\1+")
_NO_STRETCH = re.compile(r"[IVX]+|[ivx]+|[A-Z]{4}")  # VIII, IEEE
_ENDINGS = ("", "s", "es", "d", "ed", "r", "er", "ers", "ing", "in", "y", "ly")


def shorten(text: str) -> str:
    """Reduce a letter written three times or more to one, or to two where that gives an everyday word.

    A word of one letter alone keeps three of it: `KKK`, `www`.
    """
    if not _STRETCH.search(text):
        return text
    return _WORD.sub(lambda match: _shorten_word(match[0]), text)


def _shorten_word(word: str) -> str:
    stretches = [
        match.span() for match, _ in zip(_STRETCH.finditer(word), range(MOST_STRETCHES + 1), strict=False)
    ]
    if not stretches or _NO_STRETCH.fullmatch(word):
        return word
    if _ONE_LETTER.fullmatch(word):
        return word[:3]
    if len(stretches) <= MOST_STRETCHES:
        for start, end in stretches:
            doubled = (
                _STRETCH.sub(r"\1", word[:start]) + word[start : start + 2] + _STRETCH.sub(r"\1", word[end:])
            )
            if _is_everyday(doubled.lower()):
                return doubled
    return _STRETCH.sub(r"\1", word)


def _is_everyday(word: str) -> bool:
    return any(word.endswith(ending) and word.removesuffix(ending) in DOUBLED for ending in _ENDINGS)
