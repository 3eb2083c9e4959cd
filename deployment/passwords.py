"""Keeps the passwords of an installation's roles in Postgres: a file for each, drawn where nobody has written one.

`python -m deployment.passwords` draws what is missing in the folder that SLICELINE_PASSWORDS names; with the name of a
role it prints the password of that role, and in the next lines by whom the server is known (what the file holds that
SLICELINE_DATABASE_CA_FILE names); with --renew the next `migrate` gives that role a new one.
SLICELINE_POSTGRES_PASSWORD is the superuser's, where one was told before.
"""

import argparse
import os
import secrets
import sys
from pathlib import Path

from backbone.values.passwords import password_in
from deployment import CA_FILE, PASSWORDS
from deployment.drawing import draw_once
from deployment.roles import SUPERUSER, every_role, is_of_a_service
from services import CATALOGUE


class UnfitPassword(Exception):
    """A file holds no password that Postgres could be told."""


class Passwords:
    """Is a folder with a folder for each role; those of services' own roles lie apart, for services to be shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, role: str) -> Path:
        """Return the file that holds a role's password, whether it is there yet or not."""
        return self._folder(role) / "password"

    def of(self, role: str) -> str:
        """Return a role's password; draw it if there is none. Raises UnfitPassword."""
        return _drawn(self.file(role))

    def renew(self, role: str) -> None:
        """Draw the password that a role is to have next. Raises UnfitPassword."""
        _drawn(self._next(role))

    def coming(self, role: str) -> str:
        """Return the password that the server is to be told: the next one where there is one. Raises UnfitPassword."""
        return _drawn(self._next(role)) if self._next(role).exists() else self.of(role)

    def settle(self, role: str) -> None:
        """Put the next password in the place of the last one, now that the server knows it."""
        if self._next(role).exists():
            self._next(role).replace(self.file(role))

    def _next(self, role: str) -> Path:
        return self._folder(role) / "next"

    def _folder(self, role: str) -> Path:
        return self.folder / "services" / role if is_of_a_service(role) else self.folder / role


def _drawn(file: Path) -> str:
    try:
        draw_once(file, secrets.token_urlsafe(24))
        return password_in(file.read_text())
    except OSError as error:
        raise UnfitPassword(f"{file} cannot be had: {type(error).__name__}") from None
    except ValueError as error:
        raise UnfitPassword(f"{file} {error}") from None


def main() -> None:
    asked = _asked()
    if not (folder := os.environ.get(PASSWORDS)):
        sys.exit(f"Set {PASSWORDS}: it names the folder of the passwords.")
    passwords = Passwords(Path(folder))
    try:
        if asked.renew:
            passwords.renew(asked.role)
        elif asked.role:
            sys.stdout.write(f"{passwords.of(asked.role)}\n{_authorities()}")
        else:
            _draw(passwords)
    except UnfitPassword as error:
        sys.exit(f"passwords: {error}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployment.passwords")
    parser.add_argument("role", nargs="?", help="whose password to print (without one: draw all that are missing)")
    parser.add_argument("--renew", action="store_true", help="draw the next one, which `migrate` puts in its place")
    asked, roles = parser.parse_args(), every_role(CATALOGUE)
    if asked.role not in (None, *roles) or (asked.renew and not asked.role):
        parser.error(f"name one of the roles: {', '.join(sorted(roles))}")
    return asked


def _authorities() -> str:
    try:
        return Path(file).read_text() if (file := os.environ.get(CA_FILE)) else ""
    except OSError as error:
        sys.exit(f"{CA_FILE} names a file that cannot be read: {error}")


def _draw(passwords: Passwords) -> None:
    if told := os.environ.get("SLICELINE_POSTGRES_PASSWORD"):
        try:
            draw_once(passwords.file(SUPERUSER), password_in(told))
        except ValueError as error:
            raise UnfitPassword(f"SLICELINE_POSTGRES_PASSWORD {error}") from None
    for role in (SUPERUSER, *every_role(CATALOGUE)):
        passwords.of(role)


if __name__ == "__main__":
    main()
