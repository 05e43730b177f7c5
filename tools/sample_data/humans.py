"""The phrases of the synthetic deepfake sample's human rows: eight invented people and their hobbies."""

import random

from tools.sample_data.phrases import Grammar, expand
from tweetelm.text.normalize import normalize

COMMON: Grammar = {
    "day": "today|this morning|last night|on Sunday|after lunch|before work|yesterday|at dawn",
    "mood": "so happy about it|not sure how I feel|worth every minute|never again|I could get used to this"
    "|my back hurts|still smiling|send help|no regrets",
    "end": ".|.|.|.|!|!|...|. 😅|! 🙌|. https://ex.ample/{n}",
    "n": "a1c|b7d|e9f|g2h|j5k|m8n|p3q|r6s",
    "friend": "@tess_o|@old_finn|@marguerite|@hal_9|my sister|my neighbour|the kids|grandad",
    "ask": "Does anybody know|Can someone tell me|Honest question:|Asking for {friend}:",
    "agree": "Thank you {friend},|Agreed, {friend}:|{friend} was right:|As {friend} always says,",
}

PEOPLE: dict[str, Grammar] = {
    "mossandmaple": {
        "row": "Planted {plant} {day}, {mood}{end}|The {plant} {did} and {mood}{end}"
        "|{ask} why my {plant} {did}?"
        "|{agree} {plant} need less water than you think{end}"
        "|Found {guest} under the {plant} {day}{end} #garden",
        "plant": "beans|tomatoes|foxgloves|courgettes|sweet peas|leeks|dahlias|runner beans",
        "did": "gave up on me|grew an inch|flowered early|got eaten by slugs|survived the frost"
        "|fell over in the wind",
        "guest": "a toad|three snails|my lost trowel|a hedgehog|an old coin|a very angry wasp",
    },
    "platform_nine": {
        "row": "The {train} is {late} again {day}, {mood}{end}|Sat next to {who} on the {train}, {mood}{end}"
        "|{ask} if the {train} stops at the harbour?|{agree} always take the {train}{end}"
        "|Photographed the {train} {day} from the old bridge{end} #trains",
        "train": "night train|8:15|slow train|coast line|little blue tram|express|replacement bus",
        "late": "late|ten minutes early|cancelled|full of cyclists|stuck behind a cow|running on time",
        "who": "a man with a tuba|two nuns|a sleeping baker|someone reading my book|a parrot in a box",
    },
    "crumb_report": {
        "row": "Baked {bread} {day} and it {came}{end}|My {bread} {came}, {mood}{end}"
        "|{ask} how long {bread} should rest?"
        "|{agree} good {bread} takes time{end}|Gave half of the {bread} to {friend}, {mood}{end} #baking",
        "bread": "rye bread|sourdough|cinnamon loaf|plum cake|flat bread|gingerbread|apple pie|focaccia",
        "came": "came out flat|smells like heaven|burnt at the bottom|rose over the tin|vanished in an hour"
        "|tastes of smoke",
    },
    "night_sky_nora": {
        "row": "Saw {object} {day} from the roof, {mood}{end}|Clouds all over {object} {day}, {mood}{end}"
        "|{ask} which lens shows {object} best?|{agree} nothing beats {object} through {tool}{end}"
        "|Two hours in the cold for {object} and {tool} fogged up{end} #astronomy",
        "object": "Saturn|the Orion nebula|a double star|the space station|Jupiter and its moons|a meteor"
        "|the crescent moon",
        "tool": "my old telescope|borrowed binoculars|a cheap tripod|the new eyepiece"
        "|a kitchen chair and a blanket",
    },
    "purl_jam": {
        "row": "Finished {garment} {day}, {mood}{end}|Ripped back {garment} for the third time, {mood}{end}"
        "|{ask} whether {yarn} is too warm for {garment}?|{agree} {yarn} forgives everything{end}"
        "|The cat sleeps on {garment} again{end} #knitting",
        "garment": "the green cardigan|one sock|a baby hat|this endless scarf|the left sleeve"
        "|a pair of mittens",
        "yarn": "merino|the cheap wool|alpaca|hand dyed yarn|that scratchy tweed",
    },
    "two_wheel_tom": {
        "row": "Rode {route} {day}, {mood}{end}|{fault} on {route} {day}{end}"
        "|{ask} if {route} is open in winter?"
        "|{agree} never trust a shortcut to {route}{end}"
        "|Coffee with {friend} after riding {route}, {mood}{end} #cycling",
        "route": "the quarry hill|the lake road|the canal path|the long way to work|the mountain pass"
        "|the forest loop",
        "fault": "Two punctures|A broken spoke|Head wind all the way|Lost a glove|My chain snapped"
        "|Rain in both shoes",
    },
    "rook_takes_pawn": {
        "row": "Lost to {rival} {day} with {opening}, {mood}{end}|Beat {rival} with {opening}, {mood}{end}"
        "|{ask} what to play against {opening}?|{agree} {opening} is fine until move twelve{end}"
        "|Blundered {piece} against {rival} {day}{end} #chess",
        "rival": "a nine year old|the club champion|my dentist|a stranger in the park|my own computer"
        "|grandad",
        "opening": "the King's Gambit|the London|the Sicilian|the French|some odd gambit|the Caro-Kann",
        "piece": "my queen|a rook|both knights|the good bishop|a won ending",
    },
    "harbour_heron": {
        "row": "Counted {count} {bird} at the {site} {day}{end}"
        "|A {single} took my sandwich at the {site}, {mood}{end}"
        "|{ask} what the {bird} at the {site} eat?|{agree} the {bird} leave when the wind turns{end}"
        "|No {bird} at the {site} {day}, {mood}{end} #birds",
        "bird": "oystercatchers|swifts|herons|starlings|wagtails|terns|jackdaws",
        "single": "gull|jackdaw|crow|bold sparrow|swan",
        "site": "harbour|weir|reed bed|car park|mill pond|old pier",
        "count": "two|nine|forty|twelve|far too many|about a hundred",
    },
}


def human_rows(count: int, rng: random.Random) -> list[tuple[str, str]]:
    """`count` distinct tweets, each as (screen name of the author, text)."""
    authors = list(PEOPLE)
    rows: dict[str, tuple[str, str]] = {}
    while len(rows) < count:
        author = rng.choice(authors)
        text = _typed(expand("row", COMMON | PEOPLE[author], rng), rng)
        rows.setdefault(normalize(text), (author, text))
    return list(rows.values())


def _typed(text: str, rng: random.Random) -> str:
    """The text as typed on a phone: sometimes in lower case or without the full stop."""
    if rng.random() < 0.1:
        text = text.lower()
    return text.rstrip(".") if rng.random() < 0.05 else text
