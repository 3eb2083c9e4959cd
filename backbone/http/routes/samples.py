"""Publishes an event that somebody has written by hand, for whoever tries a listener: held to its contract first."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from backbone.events.acts import ActsRecorded
from backbone.events.contracts import ContractBroken
from backbone.events.payload import Payload
from backbone.http.answers import Answer
from backbone.http.commands import Command
from backbone.http.permissions import may
from backbone.http.problems import Problem, unfit
from backbone.storage.database import Tx
from backbone.values.fields import Key, Line

UNFIT = "The sample is not as its contract has it; nothing was sent."


class Sample(BaseModel):
    """Says which event is to be published, about what, and all that it tells."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[Line, StringConstraints(max_length=200)]
    key: Key
    data: Annotated[dict[str, JsonValue], Field(description="All of the data, as the contract has it.")]


def routes(publishes: Sequence[type[Payload]]) -> APIRouter:
    """Make the route, for the events that the service publishes itself."""
    router = APIRouter()
    # What is told of acts is no sample: nobody says by hand what somebody has done.
    kinds = {each.TYPE: each for each in publishes if not issubclass(each, ActsRecorded)}

    @router.post("/samples", status_code=202, responses={404: {}, 409: {}})
    @may("operations.edit")
    async def publish_sample(body: Sample, command: Command) -> Response:
        """Publish an event of the service as if it had happened: whoever listens acts on it, the service does not.

        Only where SLICELINE_PUBLISH_SAMPLES is on, and the data fits its contract.
        """
        if not command.context.settings.publish_samples:
            raise Problem(409, "Samples are off", "SLICELINE_PUBLISH_SAMPLES=true lets samples be published.")
        payload = _payload(kinds.get(body.type), body)

        async def effect(tx: Tx) -> Answer:
            try:
                tx.publish(payload, key=body.key)
            except ContractBroken as error:
                raise unfit(UNFIT, error.errors) from None
            return Answer({"type": body.type, "key": body.key}, status=202)

        return await command.run(effect)

    return router


def _payload(kind: type[Payload] | None, body: Sample) -> Payload:
    """Read the data as the service would have made it. Raises Problem."""
    if kind is None:
        raise Problem(404, "Not published here", f"This service publishes no {body.type}.", field="type")
    try:
        return msgspec.convert(body.data, kind)
    except msgspec.ValidationError as error:
        raise unfit(UNFIT, [("", str(error))]) from None
