"""What services tell of when they began is read as they write it, and of the others nothing is guessed."""

from datetime import UTC, datetime

from services.ledger.changes import Change, changes
from services.ledger.starts import starts

OLD = "process_start_time_seconds 1.79595015405e+09\n"
NEW = f'{OLD}# TYPE sliceline_build_info gauge\nsliceline_build_info{{version="0.9.0"}} 1.0\n'
BEGAN = datetime(2026, 11, 29, 11, 2, 34, 50_000, UTC)


def test_a_start_is_told_with_its_version_of_whoever_answers_and_can_tell() -> None:
    metrics = {"orders": NEW, "kitchen": OLD, "carts": None, "alerts": "other_total 7.0\n"}
    told = [Change(BEGAN, "orders", "started, version 0.9.0"), Change(BEGAN, "kitchen", "started")]
    assert list(starts(metrics)) == told
    assert changes([], told, BEGAN) == told


def test_what_is_no_moment_keeps_nothing_else_from_being_told() -> None:
    strange = {name: f"process_start_time_seconds {name}\n" for name in ("NaN", "+Inf", "1e+300", "1e+15", "soon")}
    assert [each.service for each in starts({**strange, "orders": NEW})] == ["orders"]
