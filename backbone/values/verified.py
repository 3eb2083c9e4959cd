"""Puts into a database's address by whom its server has to be known. Standard library only.

asyncpg and all programs of Postgres take it from there, so it holds for whoever has the address.
"""

from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

_ASKED, _FILE = "sslmode", "sslrootcert"


def verified(url: str, ca_file: Path | None) -> str:
    """Return an address that is connected to over TLS alone, where the CA vouches for the server by the name in it.

    The file is read for each connection. Without one the address is as it was.
    """
    if ca_file is None:
        return url
    parts = urlsplit(url)
    asked = {**dict(parse_qsl(parts.query)), _ASKED: "verify-full", _FILE: str(ca_file.absolute())}
    return parts._replace(query=urlencode(asked, safe="/", quote_via=quote)).geturl()


def ca_file_of(url: str) -> Path | None:
    """Return the file with the authorities that vouch for the server of an address."""
    file = dict(parse_qsl(urlsplit(url).query)).get(_FILE)
    return Path(file) if file else None
