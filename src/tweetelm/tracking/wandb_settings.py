"""What Weights & Biases is told: its mode, from its own variables and files first, and a run's id."""

import configparser
import hashlib
import logging
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tweetelm.config.train_config import TrackingConfig
from tweetelm.files import object_storage, paths

Mode = Literal["online", "offline"]
ID_FILE = "wandb-id"
# WANDB_MODE as W&B reads it; None: nothing is written, nothing sent.
_MODES: dict[str, Mode | None] = {
    "online": "online",
    "run": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": None,
}
_YES = ("1", "true", "yes", "on", "t", "y")
log = logging.getLogger(__name__)


def has_api_key(environ: Mapping[str, str]) -> bool:
    """Whether a key of Weights & Biases is set; an empty one is none."""
    return bool(environ.get("WANDB_API_KEY", "").strip())


def wandb_mode(
    config: TrackingConfig, api_key_present: bool, environ: Mapping[str, str] | None = None
) -> Mode | None:
    """The mode in force, None for off.

    `off` in the configuration is off. Else WANDB_DISABLED and WANDB_MODE win, then the configuration, and
    where that is `auto`, W&B's settings files. Without all of these a key means online.
    """
    given = environ or {}
    if config.wandb == "off" or given.get("WANDB_DISABLED", "").strip().lower() in _YES:
        return None
    if word := given.get("WANDB_MODE", "").strip().lower():
        return _known(word, "WANDB_MODE")
    if config.wandb != "auto":
        return config.wandb
    if environ is not None and (word := _mode_in_files(environ)):
        return _known(word, "mode in a settings file of Weights & Biases")
    return "online" if api_key_present else "offline"


def _known(word: str, origin: str) -> Mode | None:
    if word not in _MODES:
        log.warning(
            "%s is %r; expected online, offline or disabled: the run is kept offline (`wandb sync` sends it)",
            origin,
            word,
        )
        return "offline"
    return _MODES[word]


def _mode_in_files(environ: Mapping[str, str]) -> str:
    """`mode` in W&B's settings files: the working folder's wins over the user's."""
    home = Path(environ.get("HOME") or "~").expanduser()
    user = Path(environ.get("WANDB_CONFIG_DIR") or home / ".config" / "wandb").expanduser()
    here = Path(environ.get("WANDB_DIR") or ".")
    parser = configparser.ConfigParser(interpolation=None)
    files = [user / "settings", here / "wandb" / "settings", here / ".wandb" / "settings"]
    try:
        parser.read(files, encoding="utf-8")
    except (configparser.Error, ValueError, OSError) as error:
        log.warning("a settings file of Weights & Biases cannot be read and is passed over: %s", error)
        return ""
    return parser.get("default", "mode", fallback="").strip().lower()


def wandb_id(name: str, place: str) -> str:
    """A run id that wandb accepts, of a run of this name at this place."""
    clean = re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:100]
    digest = hashlib.sha256("\0".join([name, place]).encode()).hexdigest()
    return f"{clean}-{digest[:10]}"


def run_id(name: str, run_folder: str, local: Path) -> str:
    """The id of the run in this folder, the same whenever it goes on, and no other run's.

    A URL is one place in the world. A folder of this name may be on many machines, so the first process that
    tracks the run leaves its id there.
    """
    if paths.is_url(run_folder):
        return wandb_id(name, run_folder)
    file = str(local / ID_FILE)
    found = (object_storage.read(file) or b"").decode("utf-8", errors="replace").strip()
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", found):
        found = wandb_id(name, secrets.token_hex(16))
        object_storage.write(file, f"{found}\n".encode())
    return found
