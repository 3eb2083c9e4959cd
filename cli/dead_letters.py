"""./sliceline dead-letters: look at parked events, handle them again by a plan, give them up, edit or reproduce one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import letters
from cli.answers import answer_of, everything
from cli.console import console, fail
from cli.earlier import archived_before, states_of
from cli.following import follow
from cli.rates import rate_of
from cli.reproducing import write_test
from cli.running import address_of

if TYPE_CHECKING:
    import httpx


FAILS = "It should fail as the event did, unless that failed for personal data, which is replaced"


class Action(StrEnum):
    """Names what can be done."""

    LIST = "list"
    GROUPS = "groups"
    SHOW = "show"
    REDRIVE = "redrive"
    CANCEL = "cancel"
    DISCARD = "discard"
    RESTORE = "restore"
    EDIT = "edit"
    REPRODUCE = "reproduce"


class OnFailure(StrEnum):
    """Says what a redrive does when an event fails again."""

    STOP = "stop"
    CONTINUE = "continue"


def dead_letters(
    action: Annotated[Action, typer.Argument(help="What to do.")],
    service: Annotated[str, typer.Argument(help="The service that parked them.")],
    number: Annotated[int | None, typer.Argument(help="One letter; for cancel, the redrive.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Those of this key (an order's id, a SKU).")] = None,
    group: Annotated[str | None, typer.Option("--group", help="Those that failed for one reason; see groups.")] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="Redrive: all that are parked.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Redrive: only tell what would come of it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Redrive: without a dry run, and without asking.")] = False,
    rate: Annotated[float | None, typer.Option("--rate", help="Redrive: at most so many a second.")] = None,
    on_failure: Annotated[
        OnFailure, typer.Option("--on-failure", help="Redrive: stop at the first that fails, or go on with other keys.")
    ] = OnFailure.STOP,
    reason: Annotated[str | None, typer.Option("--reason", help="Discard and edit: why; it is kept.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Edit: a file with the data as JSON.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Reproduce: the file to write.")] = None,
) -> None:
    """Look at events that could not be handled: list, groups, show NUMBER; then act on NUMBER, --key or --group.

    redrive handles them again: a dry run tells what would change, then steps of 1, 2, 5, 10 and so on; cancel stops
    one. discard gives up, restore takes that back; edit puts a copy in one's place. reproduce writes a failing test.
    """
    import httpx

    from cli.asking import client_of

    which = {name: value for name, value in (("letter", number), ("key", key), ("group", group)) if value is not None}
    wanted = _Wanted(number, which, all_of_them, dry_run, yes, rate_of(rate), on_failure, reason, data, to)
    with client_of(address_of(service), timeout=60) as client:
        try:
            ACTIONS[action](_Asked(client, service, wanted))
        except httpx.HTTPError as error:
            fail(f"{service} does not answer ({error}). See: ./sliceline logs {service}")


@dataclass(frozen=True)
class _Wanted:
    """Holds what was said on the command line."""

    number: int | None
    which: dict[str, Any]
    all_of_them: bool
    dry_run: bool
    yes: bool
    rate: float | None
    on_failure: OnFailure
    reason: str | None
    data: Path | None
    to: Path | None


class _Asked:
    """Asks one service about its dead letters, or to do something to them."""

    def __init__(self, client: "httpx.Client", service: str, wanted: _Wanted) -> None:
        self._client = client
        self._service = service
        self._wanted = wanted

    def list(self) -> None:
        which = {name: str(value) for name, value in self._wanted.which.items() if name != "letter"}
        letters.show_list(everything(self._client, "/dead-letters", **which))

    def groups(self) -> None:
        letters.show_groups(self._get("/dead-letters/groups")["items"])

    def show(self) -> None:
        letter = self._get(f"/dead-letters/{self._one()}")
        before = archived_before(letter)
        letters.show_page(letter, None if before is None else states_of(self._client, before))

    def redrive(self) -> None:
        """Rehearse, ask and redrive; end with 1 when something failed."""
        wanted = self._wanted
        which = {"all": True} if wanted.all_of_them and not wanted.which else self._some(" or --all")
        if not wanted.yes:
            tried = self._followed({**which, "on_failure": "continue", "dry_run": True})
            letters.show_dry_run(tried, self._failed(tried))
            if wanted.dry_run or not typer.confirm("Redrive them?"):
                return
        report = self._followed({**which, "rate": wanted.rate, "on_failure": wanted.on_failure.value})
        letters.show_report(self._service, report)
        if report["state"] != "done" or report["outcomes"]["failed"]:
            fail(f"See: ./sliceline dead-letters groups {self._service}")

    def cancel(self) -> None:
        number = self._one()
        self._post(f"/redrives/{number}/cancel")
        console.print(f"{self._service}: redrive {number} was cancelled; what it has handled stays so.")

    def discard(self) -> None:
        reason = _given(self._wanted.reason, "--reason")
        parts = self._in_parts("discard", "discarded", **self._some(), reason=reason)
        plans = ", ".join(str(each["redrive"]) for each in parts if each["redrive"])
        behind = f" What waited behind goes on as redrive {plans}." if plans else ""
        count = sum(each["discarded"] for each in parts)
        console.print(f"{self._service}: {count} discarded, to be restored until they are purged.{behind}")

    def restore(self) -> None:
        restored = sum(each["restored"] for each in self._in_parts("restore", "restored", **self._some()))
        console.print(f"{self._service}: {restored} restored to where they stood; their keys are parked.")

    def edit(self) -> None:
        file, reason = _given(self._wanted.data, "--data"), _given(self._wanted.reason, "--reason")
        try:
            data = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            fail(f"{file} cannot be read as JSON: {error}", code=2)
        done = self._post(f"/dead-letters/{self._one()}/edit", data=data, reason=reason)
        if not done["diff"]:
            console.print("Its data is this already: nothing was changed.")
            return
        console.print(done["diff"], markup=False, highlight=False)
        again = f"./sliceline dead-letters redrive {self._service} {self._one()}"
        console.print(f"It is handled as the copy says by: {again}", highlight=False, soft_wrap=True)

    def reproduce(self) -> None:
        page = f"/dead-letters/{self._one()}"
        before = archived_before(self._get(page))
        asked = f"{page}/reproduction"
        material = self._get(asked) if before is None else self._post(asked, before=before)
        path = write_test(material, self._wanted.to, is_archived=before is not None)
        console.print(f"Written, and not tried yet. {FAILS}: ./sliceline test {path}", highlight=False, soft_wrap=True)

    def _in_parts(self, act: str, told: str, **body: Any) -> Sequence[Any]:
        """Do something to as many letters as the service takes at once, until there are no more."""
        from backbone.consuming.discarding import MOST

        parts = [self._post(f"/dead-letters/{act}", **body)]
        while parts[-1][told] >= MOST:
            answer = self._client.post(f"/dead-letters/{act}", json=body)
            if answer.status_code == HTTPStatus.NOT_FOUND:
                break
            parts.append(answer_of(answer))
        return parts

    def _one(self) -> int:
        """Return the number that was given."""
        if self._wanted.number is None:
            fail("Say which one: its number comes after the service's name.", code=2)
        return self._wanted.number

    def _some(self, more: str = "") -> dict[str, Any]:
        """Return what was named: one letter, a key or a group. `more` can be said instead."""
        if len(self._wanted.which) != 1:
            fail(f"Say which: a letter's NUMBER, --key KEY or --group GROUP{more}.", code=2)
        return self._wanted.which

    def _get(self, path: str) -> Any:
        return answer_of(self._client.get(path))

    def _post(self, path: str, **body: Any) -> Any:
        return answer_of(self._client.post(path, json=body))

    def _failed(self, report: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """Return the letters that a redrive could not handle."""
        if not report["outcomes"]["failed"]:
            return ()
        found = everything(self._client, f"/redrives/{report['id']}/letters")
        return tuple(each for each in found if each["outcome"] == "failed")

    def _followed(self, plan: dict[str, Any]) -> dict[str, Any]:
        return follow(self._client, self._service, self._post("/redrives", **plan)["id"])


ACTIONS = {
    Action.LIST: _Asked.list,
    Action.GROUPS: _Asked.groups,
    Action.SHOW: _Asked.show,
    Action.REDRIVE: _Asked.redrive,
    Action.CANCEL: _Asked.cancel,
    Action.DISCARD: _Asked.discard,
    Action.RESTORE: _Asked.restore,
    Action.EDIT: _Asked.edit,
    Action.REPRODUCE: _Asked.reproduce,
}


def _given(value: Any, option: str) -> Any:
    if value is None:
        fail(f"This needs {option}.", code=2)
    return value
