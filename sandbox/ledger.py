"""Keeps the provider's books: every charge, refund, void and decline, in memory and, when asked, in a file.

No method awaits, so on one event loop each is atomic: whether a reference was voided is decided in the very
step that would book its charge.
"""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.problems import Problem

Kind = Literal["charge", "refund", "void", "decline"]
# Narrow enough to stand in a path as it is.
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$", max_length=200)]


class Money(BaseModel):
    """Holds an amount in minor units (pence, cents) of an ISO 4217 currency."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    amount: Annotated[int, Field(strict=True, ge=1, le=10**12)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class ChargeRequest(BaseModel):
    """Says what a merchant asks for. `reference` is the merchant's own name for the payment."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    reference: Reference
    amount: Money
    customer: Annotated[str, Field(min_length=1, max_length=200)]


class RefundRequest(BaseModel):
    """Says what to give back: an amount, or all that is left. `refund` is the merchant's own name for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    reference: Reference
    refund: Reference
    amount: Money | None = None


class Entry(BaseModel):
    """Is one line of the ledger. A void moves no money and has no amount; `key` is the idempotency key.

    `refund` is the merchant's name for a refund; what a void gives back has none.
    """

    model_config = ConfigDict(frozen=True)
    id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    reference: str
    kind: Kind
    amount: Money | None = None
    customer: str | None = None
    key: str | None = None
    refund: str | None = None
    reason: str | None = None

    def answers(self, request: ChargeRequest) -> bool:
        return (self.reference, self.amount, self.customer) == (
            request.reference,
            request.amount,
            request.customer,
        )


@dataclass
class Account:
    """Holds all that happened under one reference."""

    reference: str
    entries: list[Entry] = field(default_factory=list)

    def of(self, kind: Kind) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind == kind]

    def refund(self, name: str) -> Entry | None:
        return next((entry for entry in self.of("refund") if entry.refund == name), None)

    def total(self, kind: Kind) -> int:
        return sum(entry.amount.amount for entry in self.of(kind) if entry.amount)

    @property
    def owed(self) -> Money | None:
        """The money charged and not given back yet, or None."""
        left = self.total("charge") - self.total("refund")
        return Money(amount=left, currency=self.currency) if left else None

    @property
    def currency(self) -> str:
        return next(entry.amount.currency for entry in self.of("charge") if entry.amount)

    @property
    def status(self) -> Literal["charged", "refunded", "voided", "declined"]:
        if self.of("charge"):
            return "charged" if self.owed else "refunded"
        return "voided" if self.of("void") else "declined"


class Ledger:
    """Holds the accounts by reference. With a `path` every entry is also a JSON line there, read again at start."""

    def __init__(self, path: Path | None = None) -> None:
        self.entries: list[Entry] = []
        self._accounts: dict[str, Account] = {}
        self._by_key: dict[str, Entry] = {}
        self._file = self._open(path) if path else None

    def find(self, reference: str) -> Account | None:
        return self._accounts.get(reference)

    def charge(self, request: ChargeRequest, key: str | None, refusal: str | None) -> tuple[Account, Entry, bool]:
        """Book a charge, or a decline when there is a `refusal`; the last value returned says whether it is new.

        The same idempotency key answers with the entry it made first. Another key under a reference already
        charged books a second charge: one charge per order is the merchant's duty.
        Raises Problem 422 for a key used with another request, 409 for a voided reference.
        """
        account = self._account(request.reference)
        earlier = self._by_key.get(key) if key else None
        if earlier and not earlier.answers(request):
            raise Problem(422, "idempotency-key-reused", "This Idempotency-Key came with another request.")
        if account.of("void"):
            raise Problem(409, "voided", f"Payment {request.reference} was voided; nothing is charged.")
        if earlier:
            return account, earlier, False
        _same_currency(account, request)
        entry = Entry(kind="decline" if refusal else "charge", key=key, reason=refusal, **dict(request))
        return account, self._book(account, entry), True

    def void(self, reference: str) -> Account:
        """Refuse all charges under `reference` from now on, and give back what was charged. Safe to repeat."""
        account = self._account(reference)
        if not account.of("void"):
            self._book(account, Entry(kind="void", reference=reference))
        if owed := account.owed:
            self._book(account, Entry(kind="refund", reference=reference, amount=owed, reason="voided"))
        return account

    def refund(self, request: RefundRequest) -> tuple[Account, Entry, bool]:
        """Give back a part of a charge, or all that is left; the last value returned says whether it is new.

        The same name under a reference answers with what it gave back first. Raises Problem 404 when nothing was
        charged, 422 for a name used with another amount, 409 when more would be given back than was charged.
        """
        account = self.find(request.reference)
        if account is None or not account.of("charge"):
            raise Problem(404, "not-charged", f"Nothing was charged under {request.reference}.")
        if earlier := account.refund(request.refund):
            if request.amount not in (None, earlier.amount):
                raise Problem(422, "refund-reused", f"The refund {request.refund} came with another amount.")
            return account, earlier, False
        amount = _refundable(account, request.amount)
        entry = Entry(kind="refund", reference=request.reference, refund=request.refund, amount=amount)
        return account, self._book(account, entry), True

    def clear(self) -> None:
        """Forget everything, the file's lines too."""
        self.entries.clear()
        self._accounts.clear()
        self._by_key.clear()
        if self._file:
            self._file.truncate(0)

    def close(self) -> None:
        if self._file:
            self._file.close()

    def _account(self, reference: str) -> Account:
        return self.find(reference) or Account(reference)

    def _book(self, account: Account, entry: Entry) -> Entry:
        self._remember(entry, account)
        if self._file:
            self._file.write(entry.model_dump_json().encode() + b"\n")
        return entry

    def _remember(self, entry: Entry, account: Account) -> None:
        self._accounts[entry.reference] = account
        account.entries.append(entry)
        self.entries.append(entry)
        if entry.key:
            self._by_key[entry.key] = entry

    def _open(self, path: Path) -> FileIO:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered, so that a killed process loses nothing it answered for.
        file = path.open("a+b", buffering=0)
        file.seek(0)
        whole, newline, _ = file.read().rpartition(b"\n")
        for line in whole.splitlines():
            entry = Entry.model_validate_json(line)
            self._remember(entry, self._account(entry.reference))
        file.truncate(len(whole + newline))  # a line cut off by a crash was never answered
        return file


def _same_currency(account: Account, request: ChargeRequest) -> None:
    if account.of("charge") and account.currency != request.amount.currency:
        errors = [{"field": "amount.currency", "message": f"{account.reference} is in {account.currency}"}]
        raise Problem(422, "invalid", "One reference has one currency.", errors=errors)


def _refundable(account: Account, amount: Money | None) -> Money:
    """Return the amount to give back. Raises Problem 409 when that is not covered by what is left of the charge."""
    left = account.owed
    if amount and amount.currency != account.currency:
        errors = [{"field": "amount.currency", "message": f"{account.reference} is in {account.currency}"}]
        raise Problem(422, "invalid", "One reference has one currency.", errors=errors)
    if left is None or (amount and amount.amount > left.amount):
        most = f"{left.amount} {left.currency}" if left else "nothing"
        raise Problem(409, "not-covered", f"Of {account.reference} {most} is left to give back.")
    return amount or left
