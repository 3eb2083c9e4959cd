import threading

from backbone.running.pulse import Pulse
from backbone.running.watchdog import Watchdog


def watched(*parts: Pulse, stuck_after: float = 3) -> tuple[Watchdog, list[str]]:
    ended: list[str] = []
    return Watchdog(parts, stuck_after, ended.append), ended


def test_a_part_that_beats_is_left_alone() -> None:
    part = Pulse("relay")
    watchdog, ended = watched(part)
    for _ in range(20):
        part.beat()
        watchdog.look()
    assert ended == []


def test_a_silent_part_ends_the_process_and_is_named() -> None:
    beating, silent = Pulse("relay"), Pulse("consumer")
    watchdog, ended = watched(beating, silent)
    for _ in range(2):
        beating.beat()
        watchdog.look()
    assert ended == []
    beating.beat()
    watchdog.look()
    assert ended == ["consumer"]


def test_one_beat_begins_the_patience_anew() -> None:
    part = Pulse("consumer")
    watchdog, ended = watched(part)
    for _ in range(5):
        watchdog.look()
        watchdog.look()
        part.beat()
    assert ended == []


def test_a_process_that_was_frozen_and_thawed_is_not_stuck() -> None:
    # Frozen, the watchdog does not look either: however long it lasted, only one look found no beat.
    part = Pulse("consumer")
    watchdog, ended = watched(part)
    watchdog.look()
    part.beat()
    watchdog.look()
    assert ended == []


def test_the_shortest_patience_is_one_look() -> None:
    watchdog, ended = watched(Pulse("consumer"), stuck_after=0.1)
    watchdog.look()
    assert ended == ["consumer"]


def test_it_watches_from_a_thread_of_its_own() -> None:
    ended = threading.Event()
    Watchdog([Pulse("consumer")], 1, lambda _: ended.set()).start()
    assert ended.wait(10)


def test_a_part_that_said_how_long_it_waits_is_left_alone_so_long_and_no_longer() -> None:
    part = Pulse("consumer")
    watchdog, ended = watched(part)
    part.beat(lasting=10)
    for _ in range(10):
        watchdog.look()
    assert ended == []
    for _ in range(2):
        watchdog.look()
    assert ended[0] == "consumer"


def test_what_a_part_said_about_one_wait_does_not_hold_for_the_next() -> None:
    part = Pulse("consumer")
    watchdog, ended = watched(part)
    part.beat(lasting=10)
    part.beat()
    for _ in range(4):
        watchdog.look()
    assert ended[0] == "consumer"
