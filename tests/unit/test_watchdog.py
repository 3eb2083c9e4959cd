import threading

from backbone.parts import Part
from backbone.watchdog import Watchdog


def watched(*parts: Part, stuck_after: float = 3) -> tuple[Watchdog, list[str]]:
    ended: list[str] = []
    return Watchdog(parts, stuck_after, ended.append), ended


def test_a_part_that_beats_is_left_alone() -> None:
    part = Part("relay")
    watchdog, ended = watched(part)
    for _ in range(20):
        part.beat()
        watchdog.look()
    assert ended == []


def test_a_silent_part_ends_the_process_and_is_named() -> None:
    beating, silent = Part("relay"), Part("consumer")
    watchdog, ended = watched(beating, silent)
    for _ in range(2):
        beating.beat()
        watchdog.look()
    assert ended == []
    beating.beat()
    watchdog.look()
    assert ended == ["consumer"]


def test_one_beat_begins_the_patience_anew() -> None:
    part = Part("consumer")
    watchdog, ended = watched(part)
    for _ in range(5):
        watchdog.look()
        watchdog.look()
        part.beat()
    assert ended == []


def test_a_process_that_was_frozen_and_thawed_is_not_stuck() -> None:
    # Frozen, the watchdog does not look either: however long it lasted, only one look found no beat.
    part = Part("consumer")
    watchdog, ended = watched(part)
    watchdog.look()
    part.beat()
    watchdog.look()
    assert ended == []


def test_the_shortest_patience_is_one_look() -> None:
    watchdog, ended = watched(Part("consumer"), stuck_after=0.1)
    watchdog.look()
    assert ended == ["consumer"]


def test_it_watches_from_a_thread_of_its_own() -> None:
    ended = threading.Event()
    Watchdog([Part("consumer")], 1, lambda _: ended.set()).start()
    assert ended.wait(10)
