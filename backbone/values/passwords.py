"""Reads the passwords of roles in Postgres from files, and puts them into addresses. Standard library only."""

import re
from urllib.parse import quote, unquote, urlsplit

_SOUND = re.compile(r"[!-~]{1,256}")


def password_in(text: str) -> str:
    """Return the password that a file holds. Raises ValueError, which does not show it."""
    password = text.strip()
    if not _SOUND.fullmatch(password):
        raise ValueError("must hold one password: up to 256 letters, digits and signs of ASCII, without spaces")
    return password


def apart(url: str) -> tuple[str, str]:
    """Return a role's address without its password, and the password, empty where it has none."""
    parts = urlsplit(url)
    role, _, server = parts.netloc.rpartition("@")
    bare = parts._replace(netloc=f"{role.partition(':')[0]}@{server}" if role else server)
    return bare.geturl(), unquote(parts.password or "")


def with_password(url: str, password: str) -> str:
    """Return a role's address with its password."""
    parts = urlsplit(url)
    role, _, server = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{role.partition(':')[0]}:{quote(password, safe='')}@{server}").geturl()
