"""What a service answers, for the commands that ask one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cli.console import fail

if TYPE_CHECKING:
    import httpx


def everything(client: "httpx.Client", path: str, **where: str) -> Iterator[dict[str, Any]]:
    """Everything of a list, read page by page as it is needed."""
    after: dict[str, str] = {}
    while True:
        page = answer_of(client.get(path, params={"limit": "200"} | where | after))
        yield from page["items"]
        if page["next"] is None:
            return
        after = {"after": page["next"]}


def first_letter(client: "httpx.Client", key: str | None) -> dict[str, Any] | None:
    """The oldest dead letter of a service, or of one key of it."""
    return next((letter for letter in everything(client, "/dead-letters") if key in (None, letter["key"])), None)


def answer_of(response: "httpx.Response") -> Any:
    """What a service answered; ends the command when it refused."""
    if response.is_error:
        fail(f"{response.request.url.path} was refused with {response.status_code}: {_detail(response)}")
    return response.json()


def _detail(response: "httpx.Response") -> str:
    """What a problem document says in words; the text itself where it is none."""
    try:
        problem = response.json()
        return str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError):
        return response.text
