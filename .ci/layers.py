"""Fails where a layer of an image holds a key or a password, deleted by a later one or not.

    docker save IMAGE | python .ci/layers.py

What the base image has in OF_THE_BASE is its own; a setting or a step of the build is looked at as well.
"""

import io
import re
import sys
import tarfile
from collections.abc import Iterator
from typing import IO, cast

NAMED = re.compile(
    r"(^|/)(password|next|kafka-password|master-key|keys\.json|id_(rsa|ecdsa|ed25519)|\.netrc|\.npmrc"
    r"|\.pypirc|\.pgpass|\.env|\.git|\.sliceline|[^/]+\.(key|p12|pfx|jks|keystore))$"
)
PRIVATE = re.compile(rb"PRIVATE KEY-----\s+[A-Za-z0-9+/=]{20}")
TOLD = re.compile(rb"\b\w*(?:PASSWORD|SECRET|TOKEN|CREDENTIAL|PRIVATE_KEY)\w*=[^\s\"]+")
OF_THE_BASE = ("usr/", "etc/", "var/lib/pam/")
LONGEST = 4 * 1024 * 1024
"""Bytes of a file that is looked into: a key is short."""


def main() -> None:
    layers, found = 0, []
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as image:
        for blob in filter(tarfile.TarInfo.isfile, image):
            kept = cast(io.BufferedReader, image.extractfile(blob))
            if kept.peek(1)[:1] in (b"{", b"["):  # it describes the image: its settings, and how each layer was made
                found += [f"{told.decode()} in {blob.name}" for told in TOLD.findall(kept.read())]
            elif layer := opened(kept):
                found += [f"{name} in layer {blob.name}" for name in wrong(layer)]
                layers += 1
    if layers < 2:
        sys.exit("That is no image as docker save writes one.")
    if found:
        sys.exit("\n".join(["A layer holds what looks like a key or a password:", *found]))


def opened(kept: IO[bytes]) -> tarfile.TarFile | None:
    """Open a layer, packed or not; return None of a file that is none."""
    try:
        return tarfile.open(fileobj=kept, mode="r|*")
    except tarfile.ReadError:
        return None


def wrong(layer: tarfile.TarFile) -> Iterator[str]:
    """Name the files of a layer that hold a secret, or are called as one that does."""
    for file in layer:
        path = file.name.removeprefix("./").lstrip("/")
        if path.startswith(OF_THE_BASE):
            continue
        if NAMED.search(path) or holds_key(layer, file):
            yield path


def holds_key(layer: tarfile.TarFile, file: tarfile.TarInfo) -> bool:
    kept = layer.extractfile(file) if file.isfile() and file.size <= LONGEST else None
    return kept is not None and PRIVATE.search(kept.read()) is not None


if __name__ == "__main__":
    main()
