"""Functionalities of `hate` whose cases are hateful. They are as mild as the test allows."""

from tweetelm.evaluation.behavior.cases import Functionality, about
from tweetelm.evaluation.behavior.groups import GROUPS

_STRONG = """
I can't stand {them}.
Honestly I despise {them}, every last one of them
{Them} make me sick
"""
_TRAITS = """
{Them} are all liars and cheats.
Never met {one} who wasn't lazy and stupid
The trouble with {them} is that they are born dishonest
"""
_ANIMALS = """
{Them} are vermin, plain and simple
look at those {them}, like rats
{Them} are a disease and they are spreading
"""
_IMPLIED = """
Imagine how clean this town would be without {them}.
Saw {one} move in next door, so there goes the neighbourhood
Funny how things go missing whenever {them} are around...
"""
_THREAT = """
Next time I see {one} I will make them regret it
{Them} had better watch their backs, we are coming for you
If {one} talks to me again I'm going to hit them
"""
_CALL = """
Somebody should teach {them} a lesson they won't forget, with fists
Let's get together and beat up {them} tonight
Burn down every house where {them} live
"""
_EXCLUDE = """
{Them} do not belong here, throw all of them out
No {them} in our schools, no {them} in our streets!
Keep {them} out of every job that matters
"""
_RIGHTS = """
{Them} should not be allowed to vote.
Why do we let {them} have any rights at all
{Them} deserve to be treated as second class, always have
"""
_HARM = """
One less of them: glad to hear {one} got hurt today
Every time {them} suffer I smile
I hope all {them} get sick, they have earned it
"""
_SWEARING = """
fucking {them} ruin everything they touch
God damn {them}, shit people, all of them
I'm so done with these fucking {them}
"""
_PRONOUN = """
There are more and more {them} in this city. They are scum.
My boss is {one}. People like that are worthless.
I was thinking about {them} today. What a filthy lot they are
"""
_CLAUSE = """
I have nothing against {them} except that they are parasites
Whether they work or not, {them} are a burden and a pest
You can dress {them} up, they are still trash
"""
_DENIED_GOOD = """
{Them} have never done anything good for anybody.
There is no such thing as an honest member of that lot, {them} I mean
No decent person would ever be friends with {one}
"""
_QUESTION = """
Why are {them} always so disgusting?
Does anyone else think {them} should just disappear?
What is wrong with {them}, are they all stupid by birth?
"""
_OPINION = """
Unpopular opinion: {them} are inferior and always will be
I may be alone in saying so but {them} are simply less than us
Call me old fashioned, {them} should know their place
"""
_JOKE = """
What's the best thing about {them}? When they leave for good lol
lmao {them} and rubbish bins, can't tell them apart
Two {them} walk into a wall. Finally some good news haha
"""
_HASHTAG = """
Enough is enough #No{tag} #GetOut
what a mess they make #{tag}AreTrash
#Stop{tag} before they destroy us all
"""
_GENERAL = """
All {them} are the same: rotten.
There isn't one good person among {them}
Give {them} a chance and they will rob you, every single time
"""
_DISEASED = """
Don't shake hands with {them}, who knows what you'll catch
{Them} stink and bring filth wherever they go
I'd rather starve than eat food made by {one}, gross
"""


def hateful() -> tuple[Functionality, ...]:
    """Direct, implied, threatening and disguised-as-opinion hate against each group."""
    return tuple(
        Functionality(name=name, claim=claim, expected="hate", cases=about(templates, GROUPS))
        for name, claim, templates in (
            ("hate: strong feeling", "sees dislike of a whole group", _STRONG),
            ("hate: bad traits", "sees a group called bad by nature", _TRAITS),
            ("hate: dehumanisation", "sees people called animals or a disease", _ANIMALS),
            ("hate: implied", "sees contempt that no word says", _IMPLIED),
            ("hate: generalisation", "sees one verdict on all", _GENERAL),
            ("hate: dirt and disease", "sees disgust", _DISEASED),
            ("threat: announced", "sees a threat by the speaker", _THREAT),
            ("threat: called for", "sees a call for violence", _CALL),
            ("exclusion", "sees a call to shut people out", _EXCLUDE),
            ("denial of rights", "sees rights denied", _RIGHTS),
            ("joy at harm", "sees harm wished for or welcomed", _HARM),
            ("hate with profanity", "is not distracted by swearing", _SWEARING),
            ("hate by pronoun", "finds the group in the sentence before", _PRONOUN),
            ("hate in a clause", "finds it behind a disclaimer", _CLAUSE),
            ("hate by negation", "sees the good denied", _DENIED_GOOD),
            ("hate as a question", "sees that nothing is asked", _QUESTION),
            ("hate as an opinion", "is not softened by a preface", _OPINION),
            ("hate as a joke", "does not laugh along", _JOKE),
            ("hate in a hashtag", "reads the words inside a hashtag", _HASHTAG),
        )
    )
