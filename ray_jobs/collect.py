"""`python -m ray_jobs.collect --accounts nasa --out collected`: collects genuine tweets of named accounts.

Running the same command again completes an interrupted one.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ray_jobs.cli import refuse
from ray_jobs.cli import run as run_job
from ray_jobs.locks.run_lock import BusyError, locked_folder
from tweetelm.cli import command
from tweetelm.collection.accounts import load_accounts
from tweetelm.collection.estimate import Estimate, estimate, estimate_refresh
from tweetelm.collection.folder import Folder
from tweetelm.collection.ledger import Ceilings, Ledger
from tweetelm.collection.own_files import collect_files, fingerprints
from tweetelm.collection.part import row_ids, summary_lines, write_collection, write_ids
from tweetelm.collection.refresh import end, refresh, remaining
from tweetelm.collection.settings import Settings, check, claim, moment, screen_names, stored
from tweetelm.collection.timelines import SMALLEST, collect
from tweetelm.collection.x_api import RESUMES, X_URL, XApi, check_url
from tweetelm.data.part import MANIFEST_FILE
from tweetelm.data.text_file import content
from tweetelm.files.paths import expanded, located

TOKEN = "X_BEARER_TOKEN"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Collect genuine tweets of named accounts through the X API, or from files that you have.

    The results are rows.csv and manifest.json in a folder. Each read costs money: the command prints what
    it can cost at most before it starts. Run the same command again to continue an interrupted one; nothing
    is read twice. What X's terms leave to you: docs/collect.md.
    """

    out: str
    """Folder or URL of the collection."""
    accounts: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME …")] = ()
    """Screen names, with or without @."""
    accounts_file: str | None = None
    """File with one screen name a line."""
    from_: Annotated[tuple[str, ...], tyro.conf.arg(name="from", metavar="FILE …")] = ()
    """Read files, not the API: X's account archive (.zip), its tweets.js, JSON lines, CSV, Parquet."""
    max_posts: int | None = None
    """Posts to read per account. Default: all that X gives, 3200 with --replies and 800 without."""
    since: str | None = None
    """First date or time, such as 2026-03-01."""
    until: str | None = None
    """Date or time before which the tweets were written."""
    replies: bool = False
    """Keep replies, with those to the account itself. Retweets and quotes are always left out."""
    cap: int = 10_000
    """Ceiling of posts to read, over all runs of this folder."""
    max_dollars: float | None = None
    """Ceiling of the cost, over all runs of this folder."""
    price_per_post: float = 0.005
    """Dollars that X charges per post read."""
    price_per_user: float = 0.01
    """Dollars that X charges per user read."""
    requests_per_15min: int = 900
    """Most requests in 15 minutes; they are spaced evenly."""
    token_file: str | None = None
    """File with X's bearer token. Default: the environment variable X_BEARER_TOKEN."""
    api_url: str = X_URL
    """Base URL of the API."""
    plan: bool = False
    """Print the estimate, and do nothing."""
    refresh: bool = False
    """Ask the API which posts of the folder still exist, and remove the others."""
    ids_only: str | None = None
    """Write the ids of the folder's posts to this file, for sharing; nothing is collected."""
    text: str = "text"
    """Column with the text in tables of --from."""
    author: str = "screen_name"
    """Column with the screen name in tables of --from."""
    id: str = "id"
    """Column with the post's id in tables of --from."""

    def __post_init__(self) -> None:
        least = {"max_posts": SMALLEST, "cap": SMALLEST, "requests_per_15min": 1, "max_dollars": 0}
        least |= {"price_per_post": 0, "price_per_user": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and not value >= low:
                raise ValueError(f"--{name.replace('_', '-')} is {value}; expected at least {low}")
        named = bool(self.accounts or self.accounts_file or self.from_)
        if not (named or self.refresh or self.ids_only):
            raise ValueError("no account was named; expected --accounts, --accounts-file or --from")
        check_url(self.api_url)


def main() -> int:
    """Run the command; returns the exit status."""
    with refuse(interrupted=RESUMES):
        arguments = command.parse(Arguments, module="ray_jobs.collect")
        return run(arguments, os.environ)


def run(arguments: Arguments, environment: Mapping[str, str]) -> int:
    """Run the command with these environment variables. Returns the exit status."""
    folder = Folder(located(arguments.out))
    if arguments.ids_only:
        return write_ids(folder, Path(expanded(arguments.ids_only)))
    job = _Job(arguments, folder, environment)
    if arguments.plan:
        return job.plan()
    try:
        with locked_folder(folder.place, "the collection"):
            return job.run()
    except BusyError as busy:
        raise ValueError(f"{busy}; or choose another folder with --out") from busy


class _Job:
    """A command on the folder of a collection."""

    def __init__(self, arguments: Arguments, folder: Folder, environment: Mapping[str, str]) -> None:
        self.arguments, self.folder = arguments, folder
        self.settings = stored(folder) if arguments.refresh else _settings(arguments)
        self.token = _token(arguments, environment) if self._asks and not arguments.plan else ""

    def plan(self) -> int:
        """Print the estimate."""
        if not self.arguments.refresh:
            check(self.folder, self.settings)
        ledger = self._ledger()
        print(self._estimate(ledger).line(ledger) if self._asks else "no request: the tweets come from files")
        return 0

    def run(self) -> int:
        """Collect or refresh, then write the part."""
        if not self.arguments.refresh:
            claim(self.folder, self.settings)
        if not self._asks:
            return self._from_files()
        ledger = self._ledger()
        print(self._estimate(ledger).line(ledger), flush=True)
        with self._api(ledger) as api:
            return self._refresh(api) if self.arguments.refresh else self._collect(api)

    @property
    def _asks(self) -> bool:
        """Whether the command asks the API."""
        return self.arguments.refresh or not self.arguments.from_

    def _estimate(self, ledger: Ledger) -> Estimate:
        per_window = self.arguments.requests_per_15min
        if self.arguments.refresh:
            return estimate_refresh(len(remaining(self.folder, row_ids(self.folder))), ledger, per_window)
        accounts = load_accounts(self.folder, self.settings.accounts)
        return estimate(accounts, self.settings.reach, ledger, per_window)

    def _collect(self, api: XApi) -> int:
        accounts = collect(api, self.folder, self.settings)
        api.ledger.write()
        return self._finish(write_collection(self.folder, self.settings, accounts, api.ledger))

    def _refresh(self, api: XApi) -> int:
        removed = refresh(api, self.folder, row_ids(self.folder))
        api.ledger.write()
        manifest = write_collection(self.folder, self.settings, load_accounts(self.folder), api.ledger)
        end(self.folder)
        counts = ", ".join(f"{count:,} {reason}" for reason, count in removed.items()) or "none"
        print(f"removed posts: {counts}; {manifest['rows']:,} are left", flush=True)
        return 0

    def _from_files(self) -> int:
        """Read the files, unless a complete collection is there: a refresh may have removed posts since."""
        manifest = self.folder.read(MANIFEST_FILE)
        if manifest is None:
            accounts = collect_files(self.folder, self.arguments.from_, self.settings)
            manifest = write_collection(self.folder, self.settings, accounts, None)
        return self._finish(manifest)

    def _finish(self, manifest: dict[str, Any]) -> int:
        print("\n".join(summary_lines(manifest, self.folder)), flush=True)
        if not manifest["rows"]:
            raise ValueError(f"no tweet was kept; {self.folder.path(MANIFEST_FILE)} says why, by account")
        return 0

    def _ledger(self) -> Ledger:
        ceilings = Ceilings(
            posts=self.arguments.cap,
            dollars=self.arguments.max_dollars,
            per_post=self.arguments.price_per_post,
            per_user=self.arguments.price_per_user,
        )
        return Ledger(self.folder, ceilings)

    def _api(self, ledger: Ledger) -> XApi:
        return XApi(
            self.token,
            ledger,
            say=lambda line: print(line, flush=True),
            url=self.arguments.api_url,
            per_window=self.arguments.requests_per_15min,
        )


def _settings(arguments: Arguments) -> Settings:
    file = arguments.accounts_file
    accounts = screen_names(arguments.accounts, None if file is None else Path(expanded(file)))
    if not accounts and not arguments.from_:
        raise ValueError(f"{file} names no account; expected one screen name a line")
    since, until = moment(arguments.since, "--since"), moment(arguments.until, "--until")
    if since and until and since >= until:
        raise ValueError(f"--since is {since} and --until is {until}; expected an earlier --since")
    return Settings(
        source="files" if arguments.from_ else arguments.api_url,
        accounts=accounts,
        files=fingerprints(arguments.from_),
        columns=(arguments.text, arguments.author, arguments.id) if arguments.from_ else (),
        max_posts=arguments.max_posts,
        since=since,
        until=until,
        replies=arguments.replies,
    )


def _token(arguments: Arguments, environment: Mapping[str, str]) -> str:
    """The bearer token, from the file or the environment."""
    if arguments.token_file:
        token = content(Path(expanded(arguments.token_file)), "name the file with X's bearer token").strip()
    else:
        token = environment.get(TOKEN, "").strip()
    if not token or not token.isascii() or len(token.split()) != 1:
        raise ValueError(
            f"there is no bearer token of X; type `export {TOKEN}=…` with the token of your app, or name a "
            "file that has it with --token-file"
        )
    return token


if __name__ == "__main__":
    run_job(main)
