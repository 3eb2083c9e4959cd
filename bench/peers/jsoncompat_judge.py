"""Asks jsoncompat about pairs of schemas, for `bench/judging.py`: pairs as JSON on standard input, refusals on output.

It runs in an environment of its own, since jsoncompat needs a newer Python than we do.
"""

import json
import sys
from typing import Any

import jsoncompat


def is_refused(old: Any, new: Any, role: str) -> bool:
    return bool(jsoncompat.analyze_compat(json.dumps(old), json.dumps(new), role)["status"] != "compatible")


if __name__ == "__main__":
    json.dump([is_refused(*asked) for asked in json.load(sys.stdin)], sys.stdout)
