"""Functionalities of `hate` whose cases only look hateful, or speak of the same people and things."""

from tweetelm.evaluation.behavior.cases import Case, Functionality, about, plain
from tweetelm.evaluation.behavior.groups import GROUPS

_DENIED = """
I do not hate {them}, and neither should you
It is simply not true that {them} are lazy
Nobody should ever say that {them} are less than others
"""
_QUOTED = """
He told me "{them} are trash" and I have not spoken to him since
"Get rid of {them}" was sprayed on a wall here. Shame on whoever did it.
A man on the bus shouted that {them} should leave. Everyone told him to stop.
"""
_COUNTER = """
If you think {them} are your problem, the problem is you
Stop blaming {them} for what the government did
You call {them} lazy? Try one day of their work and then talk
"""
_NEUTRAL = """
My neighbour is {one}.
About a third of the people in this class are {them}
There is a documentary about {them} on tonight at nine
"""
_POSITIVE = """
So proud of all the {them} in my team
{Them} make this city a better place, thank you!
Happy to have {one} as my best friend
"""
_VICTIM = """
As {one} I get insulted on the bus every week, and I am tired
They spat at my friend because she is {one}. I can't stop crying.
{Them} were attacked again last night. Thoughts with the families
"""
_NEWS = """
Parliament debates a new law on {them} this Tuesday
Report: {them} wait twice as long for a doctor's appointment
A court rules that {them} may not be refused a flat
"""
_LOVED = """
I love {them} and I will fight anyone who doesn't
Can't imagine life without the {them} who raised me
Sending hugs to all {them} having a hard day
"""
_QUESTION = """
How can I support {them} in my town?
Does anybody know a good book about the history of {them}?
What do {them} think about the new rules? Would love to hear from you
"""
_STUDY = """
In my thesis I study how newspapers have portrayed {them} since 1990
The word hate speech covers attacks on {them}, for example
Our workshop explains why insults against {them} hurt
"""
_SWEARING = """
fuck yeah, we won the game
holy shit this burger is good
I'm so fucking tired today
damn, that sunset
what the hell happened to my phone
shit, I left my keys at work again
no fucking way they cancelled the show
this damn printer is going to be the end of me
hell yes, it's finally friday
oh shit the exam is tomorrow
that was a bloody brilliant concert
fuck, I burnt the toast
my goddamn alarm did not ring
best fucking day of my life
crap, it's raining and I have no umbrella
"""
_DOGS_AND_TOOLS = """
Our bitch had five puppies last night, all healthy
The breeder says the bitch is two years old and calm
best in show went to a black labrador bitch
Bought a new hoe for the vegetable beds
Dad broke the garden hoe again
You need a rake, a spade and a hoe for that
A good hoe makes weeding easy
Vet checked the bitch and her litter this morning
life's a bitch and then you get a parking ticket
this level is a bitch to beat
that climb was a real bitch, worth it for the view
Stop bitching about the weather and take an umbrella
The queen of spades is a bitch of a card
The dog show has a class for bitches under a year
He spent the whole evening bitching about his laptop
"""
_RECLAIMED = """
us bad bitches stick together, love my girls
happy birthday to my favourite bitch, you are my sister
we're here, we're queer, and we brought cake
Proud queer mum of two, tired and happy
my queer heart is so full after today's parade
yes I'm a nasty woman and I vote
this bitch (me) just passed her driving test
boss bitch energy today, got the promotion
call me queer, it is my word now
my bitches, meet at the march at noon, bring signs
queer joy is watching my friends get married
hey bitches, brunch at eleven?
Queer prom was beautiful, thank you to everybody who came
bitch I love you, call me when you land
me and my bitches finished the marathon
"""
_THINGS = """
I hate mondays with all my heart
this laptop is a piece of garbage
mosquitoes are vermin and should all die
Pineapple on pizza is disgusting, get it out of here
kick that stupid bug out of the code already
rats in the cellar again, time for traps
I despise cold coffee
the new update is trash, delete it
weeds are a plague on my garden
I will destroy this alarm clock
wasps do not belong at a picnic, throw them out
my printer deserves to burn
all umbrellas are the same: rotten
slugs are parasites
Get these ads out of my feed
"""
_PERSONS = """
you are an idiot and your song is awful
my ex is a liar and a cheat
I can't stand my boss
Kevin, you are the laziest person I know
shut up, you absolute clown
that guy who stole my bike is scum
my brother is so stupid sometimes
I hate you for eating my lunch
the man who hit my car should lose his licence
what a moron, he parked on the tracks
you're pathetic, stop lying to me
worst singer I have ever heard, go home
my landlord is a greedy pig
I hope you step on a brick, Dave
you disgust me, cheating on her like that
"""
_OTHERS = """
politicians are liars, all of them
I can't stand people who talk in the cinema
bankers are parasites
fans of that team are the worst
telemarketers should find a real job
drivers who don't signal are idiots
landlords ruin this city
journalists make me sick today
people who spoil films are scum
cyclists on the pavement drive me mad
influencers are lazy and stupid
referees are blind, every single one
lawyers are sharks
slow walkers should be banned from this street
phone scammers are vermin
"""
_TOPIC = """
The senate votes on the border wall on Tuesday
Refugee week starts today, come and eat with us
Immigration court backlog reaches a record, says the report
I disagree with the immigration bill, it costs too much and helps nobody
Which candidate has the better plan for the border?
Families at the border were reunited this morning
The wall in our garden fell down in the storm
Apply for your visa before the end of May
New figures on migration are out: fewer arrivals than last year
My grandparents were immigrants and opened a bakery
The refugee camp needs blankets, please donate
Watching a talk about asylum law tonight
Both parties promise to fix the immigration system
The museum of immigration opens on Saturday, free entry
The mayor met with refugees to hear about housing
"""


def harmless() -> tuple[Functionality, ...]:
    """Talk of the same groups without hate, and hate's words without its target."""
    kinds: tuple[tuple[str, str, tuple[Case, ...]], ...] = (
        ("negated hate", "understands a denial", about(_DENIED, GROUPS)),
        ("quoted and denounced", "tells a quotation from an attack", about(_QUOTED, GROUPS)),
        ("counter-speech", "does not punish those who object", about(_COUNTER, GROUPS)),
        ("neutral mention", "is not triggered by a group's name", about(_NEUTRAL, GROUPS)),
        ("positive mention", "sees praise", about(_POSITIVE, GROUPS)),
        ("love of a group", "sees affection", about(_LOVED, GROUPS)),
        ("victims speaking", "does not silence those who are attacked", about(_VICTIM, GROUPS)),
        ("news", "reads a report as a report", about(_NEWS, GROUPS)),
        ("asking", "tells a question from a rhetorical one", about(_QUESTION, GROUPS)),
        ("study and explanation", "tells use from mention", about(_STUDY, GROUPS)),
        ("politics without hate", "is not triggered by border and wall", plain(_TOPIC)),
        ("profanity alone", "tells swearing from hate", plain(_SWEARING)),
        ("other meanings", "knows dogs, tools and idioms", plain(_DOGS_AND_TOOLS)),
        ("reclaimed words", "knows who is speaking", plain(_RECLAIMED)),
        ("abuse of things", "sees that no person is meant", plain(_THINGS)),
        ("abuse of a person", "sees that no group is meant", plain(_PERSONS)),
        ("abuse of other groups", "knows which groups are protected", plain(_OTHERS)),
    )
    return tuple(
        Functionality(name=name, claim=claim, expected="not-hate", cases=cases)
        for name, claim, cases in kinds
    )
