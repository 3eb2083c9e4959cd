"""Says what each kind of problem means: the `type` of a problem document leads here (RFC 9457 3.1.1)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from backbone.http.permissions import open_to_all
from backbone.http.problems import Problem, type_of

KINDS: Mapping[str, str] = {
    "Keys are parked": "A topic is not read again while keys of it are parked: redrive or discard their events first.",
    "Nothing to read again": "The service has read nothing of this topic.",
    "Malformed request": "Not even the form is right; `errors` names the part.",
    "Invalid request": "The form is right, a value is not. `errors` names every field with what it must be.",
    "Foreign page": "A page changes something only where it is our own, or its origin is named in a setting.",
    "Not authorized": "A token is needed, or the one that came is refused; `detail` says why.",
    "Not allowed": "The token is sound, and not for this; `detail` says what it lacks, or whose things it is for.",
    "Not found": "Nothing is served under this path; /openapi.json lists what is.",
    "Method not allowed": "The path is there, but not for this method; the header Allow names those it is there for.",
    "Request timeout": "The request did not arrive whole in time, so nothing was done. Send it again at once.",
    "Body too large": "The body has more bytes than are read; `detail` says how many are.",
    "Target too long": "Path and query together are longer than is read; `detail` says how long they may be.",
    "Headers too large": "The headers, or what surrounds the chunks of a body, are more than is read.",
    "Unsupported media type": "Bodies are JSON in UTF-8; the headers of the answer say what is accepted.",
    "Idempotency key reused": "The Idempotency-Key came with another request before. Take a new key.",
    "Too many requests": "More than can be served well, or than your share. Send it again after Retry-After seconds.",
    "Internal error": "We failed, and nothing was changed. Name the correlation id when you report it.",
    "Contract broken": "What was to be published does not fit its contract: our fault, and nothing was done.",
    "Temporarily unavailable": "Something that is needed is away; `detail` says whether to send it again.",
    "Transfer coding not implemented": "A body comes plain or in chunks, and in no other transfer coding.",
    "Method not implemented": "The method is none that is known here, for any path.",
    "HTTP version not supported": "HTTP/1.1 and HTTP/1.0 are spoken here.",
    "No such schema": "The service publishes no event of this name and version; GET /schemas lists those it does.",
    "No such job": "The job was done, or withdrawn; GET /jobs lists those that are given up.",
    "Job not parked": "Only a job that is given up can be started again; this one runs, or will when it is due.",
    "Job not waiting": "Only a job that waits can be done before its time; this one is in hand, or given up.",
    "No such refused event": "Nothing is set aside under this number; GET /refused-events lists what is.",
    "No such dead letter": "Nothing is parked under this number; GET /dead-letters lists what is.",
    "Nothing of this name": "The service has no such consumer, or no such kind of job; `detail` names those it has.",
    "Already paused": "It was paused before, and not resumed; `detail` says since when and by whom.",
    "No such pause": "There is none of this number, or it has ended; GET /pauses lists those that last.",
    "No such discarded letter": "Nothing is given up under what was named; GET /dead-letters/discarded lists what is.",
    "Letter waits": "A key's events are handled in their order; redrive its first one, or the whole key.",
    "No such redrive": "There is no plan of this number; GET /redrives lists those there are.",
    "Redrive has ended": "Only one that runs can be cancelled; its report says how it ended.",
    "Editing is off": "Parked events are edited only where a setting allows it; `detail` names it.",
    "Data does not fit": "What is edited or sent by hand has to be what its contract asks for; `errors` names where.",
    "Samples are off": "Events written by hand are published only where a setting allows it; `detail` names it.",
    "Not published here": "A service publishes samples of its own events alone, and none of what it tells of acts.",
    "Other master key": "The service has another master key in the first place, or has not read the new one yet.",
    "No such asset": "The pages of /docs have no such file.",
    "No such problem": "The service knows no problem of this kind; GET /problems lists those it does.",
}
"""By title, what every service may say."""


class Kind(BaseModel):
    """Describes a kind of problem; `type` and `title` are those of its problem documents."""

    type: str
    title: str
    meaning: str


class Kinds(BaseModel):
    """Lists all kinds of problems that a service knows."""

    problems: list[Kind]


def routes(own: Mapping[str, str]) -> APIRouter:
    """Make the routes that describe the problems of one service; `own` maps those only it has to what they mean."""
    router = APIRouter()
    kinds = {
        type_of(title): Kind(type=type_of(title), title=title, meaning=meaning)
        for title, meaning in {**KINDS, **own}.items()
    }

    @router.get("/problems", response_model=Kinds)
    @open_to_all("It explains refusals.")
    async def list_problems() -> Any:
        """List what can go wrong: each kind of problem, and what it means."""
        return Kinds(problems=list(kinds.values()))

    @router.get("/problems/{kind}", response_model=Kind)
    @open_to_all("It explains refusals.")
    async def get_problem(kind: str) -> Any:
        """Say what a kind of problem means: the `type` of a problem document leads here."""
        found = kinds.get(f"/problems/{kind}")
        if found is None:
            raise Problem(404, "No such problem", "GET /problems lists those that this service knows.")
        return found

    return router
