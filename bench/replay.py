"""Measures `./sliceline replay --shadow`: how fast a read model is rebuilt from the archive, and that it is the same.

The live tables are filled first by the ordinary transaction, outbox and all; then the same events are fed to a shadow.
"""

from bench.programs import service
from bench.result import Results, Row
from bench.stage import Stage

GOAL = 5000.0
"""Events a second, on two cores."""
REBUILD = "bench.rebuilding"


def run(stage: Stage) -> Results:
    results = Results()
    count = stage.scale.of(1_000_000, 50_000)
    stage.migrate()
    stage.tell(f"filling the archive with {count:,} events")
    stage.call(REBUILD, {"do": "fill", "archive": stage.database("ledger"), "count": count})
    ledger = service(stage, "ledger", "api")
    with stage.running(ledger):
        ends = {"database": stage.database("loyalty"), "ledger": f"http://127.0.0.1:{ledger.port}"}
        stage.tell("filling the live tables")
        stage.call(REBUILD, {"do": "live", **ends})
        stage.settle()
        stage.tell("rebuilding them")
        found, reading = stage.call(REBUILD, {"do": "shadow", **ends})
    if found["count"] != count or found["different"]:
        raise RuntimeError(f"{found['different']} of {found['rows']} rows differ after {found['count']} events")
    rate = found["count"] / found["feeding"]
    results.add(Row("replay", f"{count:,} events", rate, "goal", GOAL, "events/s", rate / GOAL, 1.0))
    comparing = found["seconds"] - found["feeding"]
    results.note(f"{found['rows']:,} rows were compared, and are the same: {comparing:.1f} s.")
    seconds = {**reading.cpu, "rebuilding": found["cpu"]}
    results.note(f"CPU seconds: {', '.join(f'{name} {used:.1f}' for name, used in seconds.items())}.")
    return results
