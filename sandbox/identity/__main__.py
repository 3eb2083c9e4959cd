"""An OpenID Connect identity provider: people log in, programs sign what they are, and both get tokens."""

import argparse
import logging
import sys
import warnings
from pathlib import Path
from urllib.parse import urlsplit

from joserfc.errors import SecurityWarning

from sandbox.identity.errors import Unusable
from sandbox.identity.provider import IdentityProvider, Settings
from sandbox.identity.server import create_app
from sandbox.serving import Arguments, Server, http_url, log_to_stderr, port

log = logging.getLogger("identity")
LONGEST_SECONDS = 86_400


def issuer(text: str) -> str:
    """Read the address that tokens name; anything else raises what argparse shows to the user."""
    parts = urlsplit(http_url(text))
    if parts.query or parts.fragment or text.endswith(("/", "?", "#")):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the shape http://host:port, without a slash at the end")
    return text


def seconds(text: str) -> int:
    """Read how long a token lasts; anything else raises what argparse shows to the user."""
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= LONGEST_SECONDS:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to {LONGEST_SECONDS:,}")


def read_settings() -> tuple[Settings, argparse.Namespace]:
    parser = Arguments("sandbox.identity", __doc__)
    parser.setting("--host", "SLICELINE_HOST", "127.0.0.1")
    parser.setting("--port", "SLICELINE_IDENTITY_PORT", "8092", port)
    parser.setting("--issuer", "SLICELINE_ISSUER", "http://127.0.0.1:8092", issuer)
    parser.setting("--folder", "SLICELINE_IDENTITY_FOLDER", "")
    parser.setting("--register", "SLICELINE_IDENTITY_REGISTER", "")
    parser.setting("--seconds", "SLICELINE_TOKEN_SECONDS", "900", seconds)
    options = parser.parse_args()
    if not options.folder or not options.register:
        parser.error("name a folder for keys and passwords (--folder) and the file that says who there is (--register)")
    settings = Settings(options.issuer, Path(options.folder), Path(options.register), options.seconds)
    return settings, options


def main() -> None:
    settings, options = read_settings()
    log_to_stderr()
    warnings.simplefilter("ignore", SecurityWarning)  # of EdDSA, the name of an algorithm that clients still use
    try:
        provider = IdentityProvider(settings)
    except Unusable as error:
        sys.exit(f"identity: {error}")
    except OSError as error:
        sys.exit(f"identity: cannot keep keys and passwords in {settings.folder}: {error.strerror}")
    log.info("identity provider %s on http://%s:%s", settings.issuer, options.host, options.port)
    Server(create_app(provider), options.host, options.port).run()


if __name__ == "__main__":
    main()
