"""What goes wrong when in a run of the fault harness, and what its checks say of histories and of topics."""

import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from backbone.events.envelope import Envelope
from local import ROOT
from local.program import python
from tests.faults import builds, disks
from tests.faults.__main__ import left_out
from tests.faults.history import CANCEL, FAILED, OK, PLACE, READ, UNKNOWN, Known, Told, contradictions
from tests.faults.promises import counted_once, versions_agree
from tests.faults.schedule import HARD, KINDS, SHORT, SOFT, plan
from tests.faults.strikes import STRIKES


def test_the_same_seed_draws_the_same_faults() -> None:
    assert plan(7, 600) == plan(7, 600)
    assert plan(7, 600) != plan(8, 600)


@pytest.mark.parametrize("seed", range(20))
def test_a_short_run_has_time_for_each_of_its_kinds(seed: int) -> None:
    faults = plan(seed, 90, SHORT)
    assert {fault.kind for fault in faults} == set(SHORT)
    assert max(fault.end for fault in faults) <= 90


@pytest.mark.parametrize("lane", [HARD, SOFT])
def test_the_faults_of_a_lane_come_one_after_the_other(lane: str) -> None:
    faults = [fault for fault in plan(3, 900) if KINDS[fault.kind].lane == lane]
    assert all(before.end < after.at for before, after in pairwise(faults))


def test_every_kind_comes_before_any_comes_again() -> None:
    faults = [fault.kind for fault in plan(5, 900) if KINDS[fault.kind].lane == HARD]
    hard = {kind for kind, about in KINDS.items() if about.lane == HARD}
    assert set(faults[: len(hard)]) == hard


def test_a_burst_of_an_hours_run_lasts_up_to_a_minute() -> None:
    longest = max(fault.length for fault in plan(5, 3600) if fault.kind == "burst")
    assert 40 < longest <= 60


def test_a_run_too_short_for_its_kinds_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        plan(1, 20)


def test_every_kind_knows_how_to_strike() -> None:
    assert STRIKES.keys() == KINDS.keys()


def test_kinds_that_a_machine_cannot_have_are_left_out_and_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden() -> None:
        raise PermissionError(1, "not here")

    monkeypatch.setattr(disks, "enter_namespace", forbidden)
    assert left_out(SHORT) == {}
    assert left_out(tuple(KINDS)).keys() == {"postgres-disk-full", "broker-disk-full"}
    assert "left out: postgres-disk-full, broker-disk-full: " in capsys.readouterr().err


FILLING = """
from pathlib import Path
from tests.faults import disks
try:
    disks.enter_namespace()
except OSError:
    raise SystemExit(77)
folder = Path(sys.argv[1])
disk = disks.Disk(folder, 4)
with disk.mounted():
    (folder / "before").write_bytes(bytes(1000))
    disk.fill()
    try:
        (folder / "after").write_bytes(bytes(5000))
    except OSError as error:
        print(error.strerror)
"""


def test_a_full_disk_takes_no_more_and_is_seen_by_nobody_else(tmp_path: Path) -> None:
    told = subprocess.run(python("-c", f"import sys{FILLING}", str(tmp_path)), cwd=ROOT, capture_output=True, text=True)
    if told.returncode == 77:
        pytest.skip("nothing can be mounted here")
    assert told.stdout == "No space left on device\n", told.stderr
    assert list(tmp_path.iterdir()) == []


def test_another_build_is_the_whole_source_of_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*told: str) -> None:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        subprocess.run(["git", *who, *told], cwd=tmp_path, check=True, capture_output=True)

    (wrapped := tmp_path / builds.WRAPPED).parent.mkdir(parents=True)
    (tmp_path / "version").write_text("1")
    wrapped.touch()
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--message=One")
    git("tag", "v1.0.0")
    (tmp_path / "version").write_text("2")
    git("commit", "--all", "--message=Two")
    monkeypatch.setattr(builds, "ROOT", tmp_path)
    monkeypatch.setattr(builds, "_load", lambda _: None)
    assert builds.export(None, tmp_path / "build").name.startswith("v1.0.0 (")
    assert (tmp_path / "build" / "version").read_text() == "1"
    with pytest.raises(builds.NoBuild, match="git rev-parse failed"):
        builds.export("v2.0.0", tmp_path / "none")


def test_where_there_is_no_history_there_is_no_other_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(builds.NoBuild):
        builds.export(None, tmp_path / "build")


def placed(outcome: str, order: str = "", key: str = "k", at: float = 0) -> Told:
    return Told(PLACE, key, outcome, at, at + 0.5, order=order)


SOUND = {
    "accepted and there": ([placed(OK, "1")], [Known("1", "k", "completed")]),
    "unknown and not there": ([placed(UNKNOWN)], []),
    "unknown and there": ([placed(UNKNOWN)], [Known("1", "k", "placed")]),
    "unknown, sent again and there once": ([placed(UNKNOWN), placed(OK, "1")], [Known("1", "k", "placed")]),
    "accepted twice as the same": ([placed(OK, "1"), placed(OK, "1")], [Known("1", "k", "placed")]),
    "refused and not there": ([placed(FAILED)], []),
    "refused, then accepted": ([placed(FAILED), placed(OK, "1")], [Known("1", "k", "placed")]),
    "not found before it was accepted": (
        [Told(READ, "k", FAILED, 0.1, 0.2, 404, "1"), placed(OK, "1")],
        [Known("1", "k", "placed")],
    ),
    "cancelling, and completed after all": (
        [placed(OK, "1"), Told(CANCEL, "k", OK, 1, 2, 202, "1", "cancelling")],
        [Known("1", "k", "completed")],
    ),
}
BROKEN = {
    "accepted and lost": ([placed(OK, "1")], []),
    "two for one key": ([placed(UNKNOWN), placed(OK, "1")], [Known("1", "k", "placed"), Known("2", "k", "placed")]),
    "two accepted under one key": ([placed(OK, "1"), placed(OK, "2")], [Known("1", "k", "placed")]),
    "unknown and there twice": ([placed(UNKNOWN)], [Known("1", "k", "placed"), Known("2", "k", "placed")]),
    "refused and there": ([placed(FAILED)], [Known("1", "k", "placed")]),
    "asked for by nobody": ([], [Known("1", "k", "placed")]),
    "accepted and not found": (
        [placed(OK, "1"), Told(READ, "k", FAILED, 1, 2, 404, "1")],
        [Known("1", "k", "placed")],
    ),
    "cancelled, and completed after all": (
        [placed(OK, "1"), Told(CANCEL, "k", OK, 1, 2, 202, "1", "cancelled")],
        [Known("1", "k", "completed")],
    ),
    "completed, and cancelled after all": (
        [placed(OK, "1"), Told(READ, "k", OK, 1, 2, 200, "1", "completed")],
        [Known("1", "k", "cancelled")],
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_history_without_contradictions_is_sound(name: str) -> None:
    assert list(contradictions(*SOUND[name])) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_contradiction_is_found(name: str) -> None:
    assert list(contradictions(*BROKEN[name]))


def told_in(version: int, occurrence: str, key: str = "k") -> Envelope:
    return Envelope(
        id=f"{occurrence}.{version}",
        type=f"sliceline.orders.order-placed.v{version}",
        source="/sliceline/orders",
        subject=key,
        time="2026-11-21T12:00:00.000000Z",
        dataschema="",
        partitionkey=key,
        correlationid="c",
        occurrenceid=occurrence,
        sequence=1,
        data=b"{}",
    )


def test_an_occurrence_that_is_not_told_in_every_version_is_found() -> None:
    both, one = [told_in(1, "a"), told_in(2, "a")], [told_in(1, "b")]
    assert list(versions_agree([("orders.events", [*both, *both])])) == []
    assert len(list(versions_agree([("orders.events", [*both, *one])]))) == 1
    assert list(versions_agree([("orders.events", [*both, told_in(1, "b", "spoilt")])], {"spoilt"})) == []


def sheet(applied: int, held: int, next_offset: int) -> dict[str, Any]:
    place = {"topic": "orders.events", "partition": 0}
    fates = {"applied": applied, "ignored": 0, "repeated": 1, "parked": 1, "held": held, "discarded": 0}
    places = [{**place, "next_offset": next_offset, "since_offset": None}]
    return {"consumer": "loyalty", "counts": [{**place, "type": "t", **fates}], "places": places}


def test_a_record_that_a_consumer_has_not_counted_once_is_found() -> None:
    assert list(counted_once(sheet(applied=3, held=2, next_offset=7))) == []
    assert len(list(counted_once(sheet(applied=2, held=2, next_offset=7)))) == 1
    assert len(list(counted_once(sheet(applied=4, held=2, next_offset=7)))) == 1
