"""Rush hour: 50 orders a second, a provider that allows 5 payments a second, customers who wait 30 seconds (quick: 12).

The naive shop charges inside the request; ours answers at once and lets the payments queue. Each meets the rush once:
it is long, and what it shows is no matter of a few per cent.
"""

from contextlib import ExitStack
from typing import Any

from bench import programs
from bench.result import Results, Row, better
from bench.stage import Stage

ORDERS, PAYMENTS, PATIENCE = 50.0, 5.0, 30.0
SHOP = ("provider", "orders", "inventory", "payments")


def run(stage: Stage) -> Results:
    results = Results()
    stage.migrate()
    naive = stage.new_database("naive")
    house = programs.house(stage, provider_rate=PAYMENTS, env={"SLICELINE_PROVIDER_LEDGER": ""})
    with ExitStack() as stack:
        for name in SHOP:
            stack.enter_context(stage.running(house[name]))
        ours = _rush(stage, "ours", house["orders"].port)
        kept = _kept(stage)
    peer = programs.peer("naive", naive, env={"PEER_PROVIDER_URL": f"http://127.0.0.1:{house['provider'].port}"})
    with stage.running(house["provider"]), stage.running(peer):
        theirs = _rush(stage, "the naive shop", peer.port)
        paid = stage.sql(naive, "SELECT count(*) FROM orders WHERE status = 'paid'")
    _judge(results, ours, theirs, kept)
    lost = max(0, paid - theirs["succeeded"])
    results.note(f"The naive shop: {_words(theirs)}; {lost} customers were charged after they had given up.")
    results.note(
        f"Ours: {_words(ours)}; when the rush ended {kept['received']} were paid, {kept['waiting']} in the queue."
    )
    results.samples.update({"ours": ours, "naive": theirs, "kept": kept})
    return results


def _judge(results: Results, ours: dict[str, Any], theirs: dict[str, Any], kept: dict[str, int]) -> None:
    mine, peers = (100 * found["succeeded"] / found["sent"] for found in (ours, theirs))
    # It must fail most orders, and ours none: so at least twice as many.
    results.add(Row("rush", "orders answered in time", mine, "naive shop", peers, "%", better(mine, peers), 2.0))
    results.add(Row("rush", "orders answered in time", mine, "all", 100.0, "%", mine / 100, 1.0))
    sound = 100 * (kept["received"] + kept["waiting"]) / ours["sent"]
    results.add(Row("rush", "orders paid or in the queue for it", sound, "all", 100.0, "%", sound / 100, 1.0))


def _rush(stage: Stage, who: str, port: int | None) -> dict[str, Any]:
    stage.tell(f"rush hour at {who}")
    stage.calm()
    request = {
        "ports": [port],
        "path": "/orders",
        "body": programs.ORDER,
        "seconds": stage.scale.of(60, 5),
        "rate": ORDERS,
        "timeout": stage.scale.of(PATIENCE, 12.0),
    }
    answer: dict[str, Any] = stage.call("bench.load", request)[0]
    return answer


def _kept(stage: Stage) -> dict[str, int]:
    """Count the payments received and those waiting, once payments has read all orders."""
    stage.tell("looking where every order is")
    stage.calm()
    url, waiting = stage.database("payments"), "SELECT count(*) FROM payments WHERE status IN ('queued', 'charging')"
    received = stage.sql(url, "SELECT count(*) FROM payments WHERE status = 'received'")
    return {"received": received, "waiting": stage.sql(url, waiting)}


def _words(found: dict[str, Any]) -> str:
    """Put what the load saw into words, from the orders that it sent to the slowest answers."""
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(found["statuses"].items()))
    return f"{found['sent']:,} orders: {statuses}; p50 {found['p50']:,.0f} ms, p99 {found['p99']:,.0f} ms"
