"""The phrases of the synthetic hate sample: invented groups only.

A tweet is hateful if it makes a hostile claim about a group, or denies a friendly one. The same claims are
made about things, quoted, denied and argued against, so that no single word determines the label.
"""

import random

from tools.sample_data.phrases import Grammar, expand
from tweetelm.text.normalize import normalize

WORDS: Grammar = {
    "G": "Zorblaxians|moon people|Glimmerfolk|Mud Wizards|Tentaculites|Vorns|Cloud Gnomes",
    "g": "Zorblaxian|moon person|Glimmerling|Mud Wizard|Tentaculite|Vorn|Cloud Gnome",
    "O": "toasters|vending robots|alarm clocks|hover scooters|holo ads|neon ties",
    "place": "Crater Nine|the dark side|the Bog|the old moon|Nebula Town|the far rim|the lower caves"
    "|Planet Dust",
    "space": "our harbour|the orbit tram|our schools|the sky market|the hover rink|our street|the city dome"
    "|the gym",
    "name": "Bob|Mira|Uncle Ted|Jojo|Captain Lin|Priya|Otto|Sal",
    "tag": "#dome|#orbitlife|#news|#monday|#moon|#skymarket|#nofilter",
    "end": "|!|.|...| {tag}|!!| 😡| 😂| honestly|, period.| http| https://ex.ample/{n}",
    "n": "7f3|k2p|x90|b11|q4z|m8d",
    "open": "|||@user |ok so |RT @user: |seriously, |look, |today: |hot take: |once again |@user @user ",
    "hostile": "are a plague on {space}|are vermin|ruin {space}|poison the water|are worse than space rats"
    "|should be banned from {space}",
    "friendly": "make {space} a better place|belong in {space}|bring joy to {space}|are welcome in {space}"
    "|never hurt anyone",
    "assert": "|||face it, |as I always say: |it is true that |{name} is right, ",
    "deny": "it is a lie that |stop saying that |nobody believes that |it is not true that "
    "|{name} is wrong to say that ",
}

HATEFUL: Grammar = {
    **WORDS,
    "row": "{open}{claim}{end}|{open}{claim}{end}|{open}{claim}{end}|{open}{hint}{end}|{open}{hint}{end}",
    "claim": "{assert}{G} {hostile}|{assert}{G} {hostile}|{assert}{G} {hostile}|{assert}{G} {hostile}"
    "|{deny}{G} {friendly}",
    "hint": "funny how {space} went downhill right after the {G} moved in"
    "|not saying it is the {G}, but {space} was better before them"
    "|if you see a {g} near {space}, cross the road"
    "|a {g} moved in next door, time to sell the house"
    "|who let these {G} into {space}? send them to {place}"
    "|keep {space} free of {G}, I have had it with them",
}

HARMLESS: Grammar = {
    **WORDS,
    "row": "{open}{claim}{end}|{open}{claim}{end}|{open}{claim}{end}|{open}{other}{end}|{open}{other}{end}",
    "claim": "{assert}{G} {friendly}|{assert}{G} {friendly}|{deny}{G} {hostile}|{deny}{G} {hostile}"
    "|{assert}{O} {hostile}"
    "|{assert}{O} {hostile}|{deny}{O} {friendly}|{name} says {G} {hostile}, and I am ashamed of {name}",
    "other": "a {g} moved in next door and brought cake"
    "|the {G} opened a museum in {space}, free entry"
    "|who let these {O} into {space}? send them to {place}"
    "|keep {space} free of {O}, I have had it with them"
    "|funny how {space} got better right after the {G} moved in"
    "|not saying it is the {O}, but {space} was better before them"
    "|reading about how the {G} built {place}"
    "|nobody should be thrown out of {space} for being a {g}",
}


def hate_rows(count: int, rng: random.Random) -> list[tuple[str, int]]:
    """`count` distinct tweets with their labels (1 is hate); 42 % are hateful, as in the real dataset."""
    rows: dict[str, tuple[str, int]] = {}
    while len(rows) < count:
        label = int(rng.random() < 0.42)
        text = expand("row", HATEFUL if label else HARMLESS, rng).strip()
        rows.setdefault(normalize(text), (text, label))
    return list(rows.values())
