"""Does the walk of README.md, word for word, against a system that is up, and looks at what every step says.

Each ```sh block of the section "A walk" is one step; a step that only looks is repeated until it sees what it should.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parent.parent / "README.md"
SECTION = re.compile(r"^## A walk\n(.*?)^## ", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
KEPT = ("ada", "sam", "rita", "order")
"""The variables that blocks hand on: the tokens of people, and the order that is looked at."""
LONGEST = 120
"""Seconds that a block may take."""


@dataclass(frozen=True)
class Said:
    """What a block printed, and those of its shell's variables at the end that later blocks go on with."""

    text: str
    kept: Mapping[str, str]

    @property
    def order(self) -> str:
        return self.kept["order"]

    @property
    def documents(self) -> list[Any]:
        """The JSON documents in it, one after the other."""
        return list(_documents(self.text))


@dataclass(frozen=True)
class Step:
    """Something the README says to do, and whether what it says is right."""

    name: str
    right: Callable[[Said], bool]
    within: float = 0
    """Seconds in which it is done again and again until it is right; 0: it is done once."""


def _documents(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        text = text[end:]
        yield document


def _has_tokens(said: Said) -> bool:
    """A token is a JWT: three parts."""
    return all(said.kept[name].count(".") == 2 for name in ("ada", "sam", "rita"))


def _placed(said: Said) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", said.order) is not None


def _completed(said: Said) -> bool:
    """The last event of the stream."""
    last = [line for line in said.text.splitlines() if line.startswith("data:")][-1]
    order = json.loads(last.removeprefix("data:"))
    return bool(order["id"] == said.order and order["status"] == "completed")


def _has_points(said: Said) -> bool:
    return any(entry["order"] == said.order and entry["points"] == 29 for entry in said.documents[0]["history"])


def _is_low(said: Said) -> bool:
    after = said.documents[-1]
    return bool(0 < after["available"] <= after["threshold"])


def _mail_came(said: Said) -> bool:
    return any(mail["Subject"].startswith("Low stock: mcguffin") for mail in said.documents[0]["messages"])


def _is_full(said: Said) -> bool:
    return bool(said.documents[0]["available"] == 100)


def _is_received(said: Said) -> bool:
    added, cart = said.documents
    return added["status"] == "received" and cart["checkout"]["status"] in ("placing", "placed")


def _is_ordered(said: Said) -> bool:
    [cart] = said.documents
    return cart["checkout"]["status"] == "placed" and bool(cart["checkout"]["order"]) and cart["lines"] == []


def _is_cancelling(said: Said) -> bool:
    return _placed(said) and said.documents[0]["status"] in ("cancelling", "cancelled")


def _is_undone(said: Said) -> bool:
    order, payment = said.documents
    return order["status"] == "cancelled" and payment["status"] in ("withdrawn", "voided", "refunded")


def _is_described(said: Said) -> bool:
    document = said.documents[0]
    return document.get("asyncapi") == "3.0.0" and "orders.order-placed.v1" in document["components"]["messages"]


STEPS = (
    Step("get tokens", _has_tokens),
    Step("place an order", _placed),
    Step("follow it to the door", _completed),
    Step("look up the points", _has_points, within=20),
    Step("sell from another channel", _is_low),
    Step("read the alert's mail", _mail_came, within=30),
    Step("fill up again", _is_full),
    Step("check out a cart", _is_received),
    Step("see its order", _is_ordered, within=30),
    Step("cancel an order", _is_cancelling),
    Step("see that all of it is undone", _is_undone, within=30),
    Step("read what events there are", _is_described, within=60),
)


def main() -> None:
    blocks = _blocks()
    kept: Mapping[str, str] = dict.fromkeys(KEPT, "")
    for step, block in zip(STEPS, blocks, strict=True):
        began = time.monotonic()
        kept = _do(step, block, kept).kept
        print(f"  {time.monotonic() - began:5.1f} s  {step.name}", flush=True)  # noqa: T201


def _blocks() -> list[str]:
    section = SECTION.search(README.read_text())
    blocks = BLOCK.findall(section[1]) if section else []
    if len(blocks) != len(STEPS):
        sys.exit(f"walk: README.md has {len(blocks)} sh blocks under '## A walk', and here are {len(STEPS)} steps")
    return blocks


def _do(step: Step, block: str, kept: Mapping[str, str]) -> Said:
    deadline = time.monotonic() + step.within
    while True:
        said = _run(block, kept)
        if _is_right(step, said):
            return said
        if time.monotonic() > deadline:
            sys.exit(f"walk: {step.name}: this\n\n{block}\ndid not end as it should. It said:\n\n{said.text}")
        time.sleep(0.5)


def _run(block: str, kept: Mapping[str, str]) -> Said:
    told = " ".join(f'"${{{name}-}}"' for name in KEPT)
    script = f"{block}\nprintf '\\n%s' {told}"
    done = subprocess.run(  # noqa: S603
        ["timeout", str(LONGEST), "bash", "-euo", "pipefail", "-c", script],  # noqa: S607
        cwd=README.parent,
        env={**os.environ, **kept},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return Said(f"{done.stdout}\n(exit code {done.returncode})", dict.fromkeys(KEPT, ""))
    text, *values = done.stdout.rsplit("\n", len(KEPT))
    return Said(text, dict(zip(KEPT, values, strict=True)))


def _is_right(step: Step, said: Said) -> bool:
    try:
        return step.right(said)
    except (ValueError, LookupError, TypeError):  # it said something else altogether
        return False


if __name__ == "__main__":
    main()
