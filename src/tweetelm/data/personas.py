"""Personas of TweepFake: a human account and the bot accounts that imitate it."""

_GROUPS = {
    "modi": "AINarendraModi narendramodi",
    "trump": "DeepDrumpf botustrump deep_potus gpt2_trump sarcastic_trump realDonaldTrump",
    "musk": "DeepElonMusk Musk_from_Mars elonmusk",
    "dril": "DrilRnn dril dril_gpt2 Gpt2Wint",
    "gene": "GenePark GenePark_GPT2",
    "trudeau": "JustinTrudeau jaden theJadenTrudeau",
    "thorin": "Thorin deep_thorin",
    "limb": "UtilityLimb utilitylimbgpt2",
    "vitalik": "VBoterin VitalikButerin",
    "ahad": "ahadsheriff ahadsheriffbot",
    "whale": "awhalefact whalefakes",
    "caleb": "calebgamman calebgamman2",
    "imran": "imranye imranyebot",
    "hooke": "kevinhooke kevinhookebot",
    "nsp": "ninjasexparty nsp_gpt2",
    "zaw": "zawvrk zawarbot",
}
_OF_ACCOUNT = {account.casefold(): name for name, group in _GROUPS.items() for account in group.split()}


def persona(account: str) -> str:
    """The persona of an account; the account itself if it belongs to no known persona."""
    return _OF_ACCOUNT.get(account.casefold(), account)
