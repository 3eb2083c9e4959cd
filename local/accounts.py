"""Finds an account for Postgres, which refuses to run as root; ordinary users run it as themselves."""

import os
import pwd
import stat
from pathlib import Path

from local.program import Account

# `postgres` where a system has it, `nobody` exists everywhere: no user is ever created.
CANDIDATES = ("postgres", "nobody")


def server_account() -> Account | None:
    """Return the account to run Postgres as; None means the current one. Raises RuntimeError where root finds none."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise RuntimeError("Postgres cannot run as root here: there is no user 'postgres' or 'nobody'.")


def give(directory: Path, account: Account | None) -> None:
    """Make the account the owner of a directory and able to walk to it; None changes nothing."""
    if account is None:
        return
    os.chown(directory, account.uid, account.gid)
    open_way(directory, account)


def open_way(path: Path, account: Account | None) -> None:
    """Let the account pass through (not list) the directories above the path; None changes nothing."""
    if account is None:
        return
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
