"""Lets an outside reader into Kafka: `python -m deployment.guests NAME TOPIC…`, which prints what he comes with.

He reads these topics, in a group of his name. The environment tells it SLICELINE_KAFKA, SLICELINE_KAFKA_KEYS and
SLICELINE_KAFKA_ADMINS, as `migrate`.
"""

import asyncio
import os
import sys

from deployment.admitting import admit_guest
from deployment.doors import GUEST, Doors
from deployment.rights import Rights, rules
from services import CATALOGUE


def main() -> None:
    doors, asked = Doors.told_by(os.environ), sys.argv[1:]
    if doors is None or len(asked) < 2 or asked[0] in CATALOGUE:
        sys.exit("Say a name that no service has, and topics to read: python -m deployment.guests NAME TOPIC…")
    name, *topics = asked
    user = f"{GUEST}{name}"
    asyncio.run(admit_guest(doors, user, rules(user, Rights(reads=tuple(topics), group=name))))
    sys.stdout.write(doors.told(user))


if __name__ == "__main__":
    main()
