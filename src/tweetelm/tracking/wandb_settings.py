"""Mode and run id for Weights & Biases. Variables and settings files of W&B override the configuration."""

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
# Values of WANDB_MODE; None: nothing is written or sent.
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
    """Whether WANDB_API_KEY is set and not empty."""
    return bool(environ.get("WANDB_API_KEY", "").strip())


def wandb_mode(
    config: TrackingConfig, api_key_present: bool, environ: Mapping[str, str] | None = None
) -> Mode | None:
    """The effective mode; None for off.

    The first of these decides: `off` in the configuration, WANDB_DISABLED, WANDB_MODE, `online` or `offline`
    in the configuration, W&B's settings files. Otherwise the mode is online if there is an API key, else
    offline.
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
            "%s is %r; expected online, offline or disabled; using offline (`wandb sync` uploads the run)",
            origin,
            word,
        )
        return "offline"
    return _MODES[word]


def _mode_in_files(environ: Mapping[str, str]) -> str:
    """`mode` in W&B's settings files; the file of the working folder overrides that of the user."""
    home = Path(environ.get("HOME") or "~").expanduser()
    user = Path(environ.get("WANDB_CONFIG_DIR") or home / ".config" / "wandb").expanduser()
    local = Path(environ.get("WANDB_DIR") or ".")
    parser = configparser.ConfigParser(interpolation=None)
    files = [user / "settings", local / "wandb" / "settings", local / ".wandb" / "settings"]
    try:
        parser.read(files, encoding="utf-8")
    except (configparser.Error, ValueError, OSError) as error:
        log.warning("ignored a settings file of Weights & Biases that cannot be read: %s", error)
        return ""
    return parser.get("default", "mode", fallback="").strip().lower()


def wandb_id(name: str, place: str) -> str:
    """A run id from the name and the location of a run, in the characters that wandb accepts."""
    clean = re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:100]
    digest = hashlib.sha256("\0".join([name, place]).encode()).hexdigest()
    return f"{clean}-{digest[:10]}"


def run_id(name: str, run_folder: str, local: Path) -> str:
    """The id of the run in a folder: unique, and the same after each resume.

    At a URL, the id is computed from the URL, which is unique. A folder of the same name may exist on several
    machines, so the first process that tracks the run writes a random id to a file in it.
    """
    if paths.is_url(run_folder):
        return wandb_id(name, run_folder)
    file = str(local / ID_FILE)
    found = (object_storage.read(file) or b"").decode("utf-8", errors="replace").strip()
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", found):
        found = wandb_id(name, secrets.token_hex(16))
        object_storage.write(file, f"{found}\n".encode())
    return found
