"""Waits for several things at once."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def gather_or_cancel(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Wait for all and return what they return; when one fails, the others are ended before its error goes on."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
