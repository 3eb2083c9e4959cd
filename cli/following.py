"""Follows a redrive to its end, with a bar of its progress."""

import time
from typing import TYPE_CHECKING, Any

from cli.answers import answer_of
from cli.console import errors, fail

if TYPE_CHECKING:
    import httpx

EVERY = 0.3


def follow(client: "httpx.Client", service: str, number: int) -> dict[str, Any]:
    """Return the report of a redrive once it has ended; Ctrl-C leaves it running."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("redrive {task.fields[number]}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=errors, transient=True) as bar:
            task = bar.add_task("redrive", total=None, number=number)
            while True:
                report: dict[str, Any] = answer_of(client.get(f"/redrives/{number}"))
                tried = sum(report["outcomes"].values())
                bar.update(task, total=max(report["total"], tried), completed=tried)
                if report["state"] != "running":
                    return report
                time.sleep(EVERY)
    except KeyboardInterrupt:
        fail(f"It goes on in {service}. Stop it with: ./sliceline dead-letters cancel {service} {number}", code=130)
