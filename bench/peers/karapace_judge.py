"""Asks Karapace about pairs of reader and writer, for `bench/judging.py`: JSON in, a list of refusals out.

It runs in an environment of its own, with a checkout of Karapace on its path.
"""

import json
import sys
from typing import Any

from jsonschema import Draft7Validator
from karapace.core.compatibility.jsonschema.checks import compatibility, is_incompatible


def is_refused(reader: Any, writer: Any) -> bool:
    return bool(is_incompatible(compatibility(Draft7Validator(reader), Draft7Validator(writer))))


if __name__ == "__main__":
    json.dump([is_refused(*pair) for pair in json.load(sys.stdin)], sys.stdout)
