"""Measures what the analysis of a review costs, and how long the event loop waits for it at its worst.

The peers do what comes to mind first: VADER gets a text whole, and is called where the review is. A flood is a text of
nothing but emojis, of which each is several words; whole it is given 250 of them, as with 2,000 it takes half a minute.
"""

from bench.result import Results, Row, short
from bench.rounds import Sample, interleave
from bench.stage import Stage

KINDS = ("usual", "long", "flood")


def run(stage: Stage) -> Results:
    results = Results()
    series = interleave({"ours": lambda: _sample(stage)}, stage.scale.rounds, stage.tell, spare=stage.scale.spare)
    found = {figure: series.value("ours", figure) for figure in series.rounds[0]["ours"].more}
    pieces, whole = found["pieces ms"], found["whole ms"]
    results.add(Row("reviews", "a flood of 250 emojis", pieces, "whole", whole, "ms", whole / pieces, 10.0))
    thread, loop = found["thread wait ms"], found["loop wait ms"]
    results.add(Row("reviews", "the loop's longest wait", thread, "on the loop", loop, "ms", loop / thread, 5.0))
    results.note("Milliseconds a text: " + ", ".join(f"{kind} {short(found[f'{kind} ms'])}" for kind in KINDS) + ".")
    results.note(f"The lexicon takes {short(found['lexicon MiB'])} MiB and {short(found['lexicon ms'])} ms, once.")
    series.account(results, "reviews")
    return results


def _sample(stage: Stage) -> Sample:
    found, reading = stage.call("bench.scoring", {"seconds": stage.scale.of(1.0, 0.3)})
    return Sample(1000 / found["usual ms"], reading, found)
