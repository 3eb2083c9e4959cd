"""How large a body may be: as large as its route says, and otherwise as large as a command needs."""

import pytest
from fastapi import APIRouter
from starlette.types import Message, Scope

from backbone.http.bodies import LARGEST, Bodies, larger, takes_up_to
from backbone.http.permissions import open_to_all
from backbone.http.problems import Problem

router = APIRouter()


@router.post("/pages")
@open_to_all("It is a test's.")
@takes_up_to(2 * LARGEST)
async def take_page() -> None:
    """Take more than others."""


@router.post("/orders")
@open_to_all("It is a test's.")
async def take_order() -> None:
    """Take what everybody takes."""


async def reached(path: str, size: int) -> bool:
    """Whether a body of so many bytes comes to the application."""
    came: list[Scope] = []

    async def application(scope: Scope, *_: object) -> None:
        came.append(scope)

    async def receive() -> Message:
        return {"type": "http.request", "body": b" " * (size - 2) + b"{}"}

    async def send(_: Message) -> None: ...

    headers = [(b"content-type", b"application/json"), (b"content-length", str(size).encode())]
    scope = {"type": "http", "path": path, "headers": headers}
    await Bodies(application, larger(router.routes))(scope, receive, send)
    return len(came) == 1


@pytest.mark.parametrize(("path", "most"), [("/pages", 2 * LARGEST), ("/orders", LARGEST)])
async def test_a_route_takes_bodies_of_the_size_that_it_says_and_no_larger_ones(path: str, most: int) -> None:
    assert await reached(path, most)
    with pytest.raises(Problem) as refused:
        await reached(path, most + 1)
    assert (refused.value.status, f"{most} bytes" in str(refused.value.detail)) == (413, True)
