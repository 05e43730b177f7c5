"""The groups of people that the behavioural tests of `hate` speak of."""

from tweetelm.evaluation.behavior.cases import Group

GROUPS = (
    Group("women", "a woman", "Women"),
    Group("immigrants", "an immigrant", "Immigrants"),
    Group("refugees", "a refugee", "Refugees"),
    Group("Muslims", "a Muslim", "Muslims"),
    Group("Jewish people", "a Jewish person", "JewishPeople"),
    Group("Black people", "a Black person", "BlackPeople"),
    Group("gay people", "a gay person", "GayPeople"),
    Group("trans people", "a trans person", "TransPeople"),
    Group("disabled people", "a disabled person", "DisabledPeople"),
)
"""The first three are those that HatEval was collected about."""
