"""Reads what a service answers, for the commands that ask one."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from cli.console import fail

if TYPE_CHECKING:
    import httpx


def everything(client: "httpx.Client", path: str, **where: str) -> Iterator[dict[str, Any]]:
    """Yield the items of a list, which is read page by page as they are needed."""
    after: dict[str, str] = {}
    while True:
        page = answer_of(client.get(path, params={"limit": "200"} | where | after))
        yield from page["items"]
        if page["next"] is None:
            return
        after = {"after": page["next"]}


def first_letter(client: "httpx.Client", key: str | None, without: Collection[str] = ()) -> dict[str, Any] | None:
    """Return the oldest dead letter of a service, or of one key of it, but of no key `without`; None: there is none."""
    letters = (each for each in everything(client, "/dead-letters") if each["key"] not in without)
    return next((letter for letter in letters if key in (None, letter["key"])), None)


def answer_of(response: "httpx.Response") -> Any:
    """Return a response's JSON; end the command when the service refused."""
    if response.is_error:
        fail(f"{response.request.url.path} was refused with {response.status_code}: {detail_of(response)}")
    return response.json()


def detail_of(response: "httpx.Response") -> str:
    """Return a problem document's words, with the fields that it names; the body itself where it is none."""
    try:
        problem = response.json()
        said = str(problem.get("detail") or problem["title"])
        named = [
            f"{each['field']} {each['message']}" for each in problem.get("errors", ()) if each["message"] not in said
        ]
    except (ValueError, KeyError, AttributeError, TypeError):
        return response.text
    return f"{said} {'; '.join(named)}" if named else said
