"""Measures the whole shop at once, from POST to completed, and where the time goes.

Everything that `up` runs runs here. The provider sets no limit, the robot takes no time, mail is received; the number
of open orders is held, so that what comes out is what the shop can sustain with nothing piling up.
"""

from bench import programs
from bench.result import Results, Row, figures, median
from bench.rounds import Sample, interleave
from bench.stage import Stage
from local.program import Program

GOAL = 150.0


def run(stage: Stage) -> Results:
    results = Results()
    with programs.whole_shop(stage) as house:
        stage.tell("warming up")
        _sample(stage, house["orders"], warm=0, seconds=stage.scale.of(10, 3))
        contestants = {"ours": lambda: _sample(stage, house["orders"], stage.scale.of(5, 2), stage.scale.of(30, 6))}
        rounds = stage.scale.of(3, 2)
        series = interleave(contestants, rounds, stage.tell, spare=stage.scale.spare)
    rate = series.value("ours")
    results.add(Row("flow", "POST to completed", rate, "the goal", GOAL, "orders/s", rate / GOAL, 1.0))
    for figure, words in (("open_before", "before"), ("open_after", "after"), ("p50", "p50 s"), ("drain", "drain s")):
        results.note(f"{words}: {series.value('ours', figure):.3g}")
    samples = [each["ours"] for each in series.rounds]
    costs = {
        name: median([each.reading.cpu[name] / each.more["orders"] * 1000 for each in samples])
        for name in samples[0].reading.cpu
    }
    results.note(f"CPU of an order, in ms: {figures(costs)}; {sum(costs.values()):.1f} together.")
    series.account(results, "flow")
    return results


def _sample(stage: Stage, orders: Program, warm: float, seconds: float) -> Sample:
    stage.settle()
    request = {
        "port": orders.port,
        "bootstrap": stage.bootstrap,
        "body": programs.ORDER,
        "open": stage.scale.of(400, 150),
        "warm": warm,
        "seconds": seconds,
    }
    answer, reading = stage.call("bench.feeder", request)
    if answer["unfinished"] or answer["failed"]:
        raise RuntimeError(f"{answer['unfinished']} orders were not completed, {answer['failed']} not accepted")
    more = {name: answer[name] for name in ("open_before", "open_after", "p50", "drain", "orders")}
    return Sample(answer["rate"], reading, more)
