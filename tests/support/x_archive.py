"""Archives of an account as X gives them to their owners, with made-up tweets."""

import json
import zipfile
from pathlib import Path
from typing import Any

TIME = "Sun Mar 01 12:00:00 +0000 2026"


def tweet(number: int, text: str, **more: Any) -> dict[str, Any]:
    return {
        "tweet": {"id_str": str(number), "full_text": text, "created_at": TIME, "lang": "en", **more},
    }


def javascript(name: str, content: object) -> str:
    return f"window.YTD.{name}.part0 = {json.dumps(content, indent=2)}"


def archive(path: Path, tweets: list[dict[str, Any]], **more: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data/tweets.js", javascript("tweets", tweets))
        owner = {"account": {"username": "Ada", "email": "ada@example.org"}}
        file.writestr("data/account.js", javascript("account", [owner]))
        file.writestr("data/direct-messages.js", "window.YTD.direct_messages.part0 = [ private ]")
        for name, text in more.items():
            file.writestr(f"data/{name.replace('_', '-')}.js", text)
    return path
