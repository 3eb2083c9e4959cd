"""Decodes and checks every golden sample in a process of its own, for `bench/contracts.py`. JSON in, JSON out."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from backbone.events import contracts
from backbone.events.envelope import from_record
from backbone.events.payload import Payload
from backbone.ids import new_id
from bench import events
from bench.events import Record
from deployment.catalogue import sample_of, service_of
from services import CATALOGUE

Read = tuple[type[Payload], Record]


def measure(seconds: float) -> dict[str, float]:
    """Tell what an event costs, in microseconds of CPU: to decode it, its data alone, and to check that."""
    read = [(payload, _record(payload.TYPE)) for name in CATALOGUE for payload in service_of(name).publishes]
    for payload, _ in read:
        contracts.load(payload.TYPE)
    share = seconds / 3
    return {
        "event µs": _cost(_decode, read, share),
        "data µs": _cost(lambda payload, record: msgspec.json.decode(record[1], type=payload), read, share),
        "check µs": _cost(lambda payload, record: contracts.check(payload.TYPE, record[1]), read, share),
    }


def _decode(payload: type[Payload], record: Record) -> Any:
    return msgspec.json.decode(from_record(*record).data, type=payload)


def _record(event_type: str) -> Record:
    data = json.dumps(sample_of(event_type)).encode()
    return events.record(event_type, data, new_id(), causationid=new_id(), traceparent=events.TRACEPARENT)


def _cost(work: Callable[[type[Payload], Record], object], read: Sequence[Read], seconds: float) -> float:
    done, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        for payload, record in read:
            work(payload, record)
        done += len(read)
    return 1e6 * (time.process_time() - began) / done


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
