"""A payment provider: charges, lookups, voids and refunds, limited by rate, in the mood it is told."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Response
from fastapi.params import Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from sandbox.ledger import Account, ChargeRequest, Entry, Ledger, Reference, RefundRequest
from sandbox.problems import Problem, answer_problems
from sandbox.serving import Arguments, Server, log_to_stderr, not_negative, port
from sandbox.throttle import TokenBucket

log = logging.getLogger("provider")
Seconds = Annotated[float, Field(ge=0, le=3600)]


class Moods(BaseModel):
    """Says how the provider behaves. Every mood left out of a PUT is the default, which is fine weather."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    slow_seconds: Seconds = 0  # a new charge takes this long until it is booked
    failing: bool = False  # every call is a 500 and does nothing
    fail_rate: Annotated[float, Field(ge=0, le=1)] = 0  # so is this share of the calls
    declining: bool = False  # every charge is a 402
    decline_customers: frozenset[str] = frozenset()  # so are theirs
    timeout_after_charging: bool = False  # a new charge is booked, then its answer held back, then a 504
    timeout_after_refunding: bool = False  # a new refund likewise
    hang_seconds: Seconds = 30  # for this long


class Limits(BaseModel):
    """Limits calls a second (0: no limit) and how many at once; the burst is one second's worth when left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rate: Annotated[float, Field(ge=0)]
    burst: Annotated[float | None, Field(ge=1)] = None


class ReferenceOnly(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    reference: Reference


class Provider:
    """Holds the state behind the HTTP API."""

    def __init__(self, limits: Limits, ledger: Path | None = None) -> None:
        self.ledger = Ledger(ledger)
        self.first_limits = limits
        self.stopping = asyncio.Event()
        self.be_new()

    def be_new(self) -> None:
        self.moods = Moods()
        self.set_limits(self.first_limits)
        self.calls = self.refused = self.failed = 0

    def set_limits(self, limits: Limits) -> None:
        self.bucket = TokenBucket(limits.rate, limits.burst)

    async def admit(self) -> None:
        """Count a merchant's call and let it in, or raise Problem 429 (too many) or 500 (failing)."""
        self.calls += 1
        if wait := self.bucket.take():
            self.refused += 1
            headers = {"Retry-After": str(wait)}
            raise Problem(429, "rate-limited", f"Too many calls; try again in {wait} s.", headers)
        if self.moods.failing or secrets.SystemRandom().random() < self.moods.fail_rate:
            self.failed += 1
            raise Problem(500, "failing", "The provider is out of order; nothing was done.")

    async def charge(self, request: ChargeRequest, key: str | None) -> tuple[dict[str, Any], int]:
        """Book a charge after the mood's delay and give its answer and HTTP status (201 new, 200 known)."""
        if await self._stopped_within(self.moods.slow_seconds):
            raise Problem(503, "stopping", "The provider is stopping; nothing was charged.")
        account, entry, new = self.ledger.charge(request, key, self._refusal(request.customer))
        if entry.kind == "decline":
            raise Problem(402, "declined", "The card was declined.", reason=entry.reason)
        if new and self.moods.timeout_after_charging:
            await self._stopped_within(self.moods.hang_seconds)
            raise Problem(504, "timeout", "No answer in time; whether it was charged is unknown.")
        return _charge_answer(account, entry), 201 if new else 200

    async def refund(self, request: RefundRequest) -> tuple[dict[str, Any], int]:
        """Book a refund and give its answer and HTTP status (201 new, 200 known)."""
        account, entry, new = self.ledger.refund(request)
        if new and self.moods.timeout_after_refunding:
            await self._stopped_within(self.moods.hang_seconds)
            raise Problem(504, "timeout", "No answer in time; whether it was given back is unknown.")
        return _refund_answer(account, entry), 201 if new else 200

    def stats(self) -> dict[str, int]:
        kinds = [entry.kind for entry in self.ledger.entries]
        return {
            "calls": self.calls,
            "refused": self.refused,
            "failed": self.failed,
            "charged": kinds.count("charge"),
            "declined": kinds.count("decline"),
            "refunded": kinds.count("refund"),
            "voided": kinds.count("void"),
        }

    def _refusal(self, customer: str) -> str | None:
        unlucky = self.moods.declining or customer in self.moods.decline_customers
        return "insufficient_funds" if unlucky else None

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait, at most until the server is told to stop; return True when it was."""
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), seconds)
        return bool(seconds) and self.stopping.is_set()


def create_app(provider: Provider) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        provider.ledger.close()

    app = FastAPI(title="Sandbox payment provider", lifespan=lifespan)
    answer_problems(app)
    app.include_router(merchant_routes(provider))
    app.include_router(ledger_routes(provider))
    app.include_router(control_routes(provider))
    return app


def merchant_routes(provider: Provider) -> APIRouter:
    """Make the routes that a merchant calls. All of them are limited by rate."""
    routes = APIRouter(tags=["merchant"], dependencies=[Depends(provider.admit)])

    @routes.post("/charges", status_code=201)
    async def charge(
        request: ChargeRequest, idempotency_key: Annotated[str | None, Header(max_length=255)] = None
    ) -> JSONResponse:
        key = (idempotency_key or "").strip('"') or None
        answer, status = await provider.charge(request, key)
        return JSONResponse(answer, status)

    @routes.get("/charges/{reference}")
    async def look_up(reference: str) -> dict[str, Any]:
        account = provider.ledger.find(reference)
        if account is None:
            raise Problem(404, "unknown", f"Nothing is known about {reference}.")
        return _account_answer(account)

    @routes.post("/voids")
    async def void(request: ReferenceOnly) -> dict[str, Any]:
        return _account_answer(provider.ledger.void(request.reference))

    @routes.post("/refunds", status_code=201)
    async def refund(request: RefundRequest) -> JSONResponse:
        answer, status = await provider.refund(request)
        return JSONResponse(answer, status)

    return routes


def ledger_routes(provider: Provider) -> APIRouter:
    """Make the routes that tests and curious people read. Never limited, never in a mood."""
    routes = APIRouter(tags=["ledger"])

    @routes.get("/ledger")
    async def ledger(reference: str | None = None) -> list[Entry]:
        if reference is None:
            return provider.ledger.entries
        account = provider.ledger.find(reference)
        return account.entries if account else []

    @routes.delete("/ledger", status_code=204)
    async def forget_everything() -> Response:
        provider.ledger.clear()
        provider.be_new()
        return Response(status_code=204)

    @routes.get("/stats")
    async def stats() -> dict[str, int]:
        return provider.stats()

    return routes


def control_routes(provider: Provider) -> APIRouter:
    """Make the routes that put the provider in a mood. Never limited themselves."""
    routes = APIRouter(tags=["control"])

    @routes.get("/moods")
    async def moods() -> Moods:
        return provider.moods

    @routes.put("/moods")
    async def set_moods(moods: Moods) -> Moods:
        provider.moods = moods
        return moods

    @routes.put("/limits")
    async def set_limits(limits: Limits) -> dict[str, float]:
        provider.set_limits(limits)
        return {"rate": provider.bucket.rate, "burst": provider.bucket.burst}

    @routes.get("/health/live")
    @routes.get("/health/ready")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return routes


def _charge_answer(account: Account, entry: Entry) -> dict[str, Any]:
    answer = entry.model_dump(mode="json", include={"id", "reference", "amount", "customer", "at"})
    return answer | {"status": account.status}


def _refund_answer(account: Account, entry: Entry) -> dict[str, Any]:
    """Describe a refund, and what was given back of the charge in all."""
    answer = entry.model_dump(mode="json", include={"id", "reference", "refund", "amount", "at"})
    return answer | {"status": "paid", "refunded": account.total("refund")}


def _account_answer(account: Account) -> dict[str, Any]:
    """Describe an account: status, the first charge's id and amount, how many charges, and what was given back."""
    charges = account.of("charge")
    first = charges[0].model_dump(mode="json") if charges else {}
    return {
        "reference": account.reference,
        "status": account.status,
        "id": first.get("id"),
        "amount": first.get("amount"),
        "charges": len(charges),
        "refunded": account.total("refund"),
    }


def main() -> None:
    parser = Arguments("sandbox.provider", __doc__)
    parser.setting("--host", "SLICELINE_HOST", "127.0.0.1")
    parser.setting("--port", "SLICELINE_PROVIDER_PORT", "8090", port)
    parser.setting("--rate", "SLICELINE_PROVIDER_RATE", "5", not_negative)
    parser.setting("--ledger", "SLICELINE_PROVIDER_LEDGER", "")
    options = parser.parse_args()
    log_to_stderr()
    provider = Provider(Limits(rate=options.rate), Path(options.ledger) if options.ledger else None)
    log.info("payment provider on http://%s:%s, %g calls a second", options.host, options.port, options.rate)
    Server(create_app(provider), options.host, options.port, provider.stopping.set).run()


if __name__ == "__main__":
    main()
