"""Serves reviews over HTTP: say how it was, and look after those for whom it was bad."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from backbone.http import Answer, Command, Db, Paging, Problem
from backbone.http.described import ACCEPTED
from backbone.http.doors import Asking, confine
from backbone.http.opening import OpeningRoute
from backbone.http.permissions import may
from backbone.ids import new_id
from backbone.sealing.sealing import Seal
from backbone.storage.database import Tx
from backbone.values.fields import Key
from services.reviews import decisions, store
from services.reviews.bodies import CasePage, CaseView, NewReview, Received, ResolutionBody, ReviewPage, ReviewView
from services.reviews.decisions import CaseStatus, Resolution, Resolved, Review

router = APIRouter(route_class=OpeningRoute)

PROBLEMS = {
    "No such review": "There is no review of this id.",
    "Reviewed already": "A customer says once how an order was; `detail` names the review that is there.",
    "No such case": "There is no case of this id: a review has one once it is found to be bad.",
    "Resolved already": "A case is resolved once; `detail` says by whom and when.",
}

ReviewId = Annotated[Key, Path(description="The review's id")]
OrderId = Annotated[Key, Path(description="The order's id")]
CaseId = Annotated[Key, Path(description="The case's id, which is its review's")]


@router.post("/reviews", status_code=202, response_model=Received, responses={**ACCEPTED, 409: {}})
@may("reviews.write", own=True)
async def receive_review(body: NewReview, command: Command) -> Response:
    """Say how an order was. What was received is analysed after the answer; the review, at its Location, tells how."""
    confine(command.caller, body.customer.id)
    seal = await command.context.sealing.seal_of(body.customer.id)
    return await command.run(lambda tx: _receive(tx, body, seal, command.correlationid))


@router.get("/orders/{order}/reviews", response_model=ReviewPage)
@may("reviews.read", own=True)
async def list_reviews(order: OrderId, db: Db, page: Paging, caller: Asking) -> Any:
    """Lists what was said of an order, the first first; to a customer what she said herself."""
    found = await store.list_of_order(db, page, order, caller.only)
    return page.answer([ReviewView.model_validate(each) for each in found], key=lambda review: review.id)


@router.get("/reviews/{review}", response_model=ReviewView)
@may("reviews.read", own=True)
async def get_review(review: ReviewId, db: Db, caller: Asking) -> Any:
    """What a customer said, and how it was meant."""
    found = await store.find(db, review)
    if found is None or not caller.may_touch(found.customer.id):
        raise Problem(404, "No such review", f"There is no review {review}.")
    return ReviewView.model_validate(found)


@router.get("/cases", response_model=CasePage)
@may("cases.read")
async def list_cases(db: Db, page: Paging, status: Annotated[CaseStatus | None, Query()] = None) -> Any:
    """Lists the cases, the oldest first."""
    found = await store.list_cases(db, page, status)
    return page.answer([CaseView.model_validate(each) for each in found], key=lambda case: case.id)


@router.get("/cases/{case}", response_model=CaseView)
@may("cases.read")
async def get_case(case: CaseId, db: Db) -> Any:
    """What a customer complains of, and how that was resolved."""
    return CaseView.model_validate(_with_case(case, await store.find(db, case)))


@router.post("/cases/{case}/resolve", response_model=CaseView, responses={404: {}, 409: {}})
@may("cases.resolve")
async def resolve_case(case: CaseId, body: ResolutionBody, command: Command) -> Response:
    """Resolve a case, once, with a note and, if wished, points, which the customer is credited with soon after."""
    review = _with_case(case, await store.find(command.context.database.for_queries, case))
    resolution = body.resolution(command.actor, await command.context.sealing.seal_of(review.customer.id))
    return await command.run(lambda tx: _resolve(tx, case, resolution))


async def _receive(tx: Tx, body: NewReview, seal: Seal, story: str) -> Answer:
    review = Review(
        id=new_id(),
        order=body.order,
        customer=body.customer.customer(seal),
        stars=body.stars,
        text=body.text and seal(body.text),
        received_at=tx.now,
        correlationid=story,
    )
    if not await store.add(tx, review):
        said = await store.find_said(tx, review.order, review.customer.id)
        raise Problem(409, "Reviewed already", f"{review.customer.id} has reviewed the order {review.order}: {said}.")
    tx.apply(decisions.receive(review), key=review.id)
    received = Received(id=review.id, order=review.order, status="received", at=tx.now)
    return Answer(received, 202, {"Location": f"/reviews/{review.id}", "Retry-After": "1"})


async def _resolve(tx: Tx, case: str, resolution: Resolution) -> Answer:
    review = _with_case(case, (await store.lock_all(tx, [case])).get(case))
    try:
        decision = decisions.resolve(review, resolution, tx.now)
    except Resolved as resolved:
        raise Problem(409, "Resolved already", str(resolved)) from None
    tx.apply(decision, key=case, cause=tx.cause.within(review.correlationid))
    await store.save_all(tx, [decision.state])
    return Answer(CaseView.model_validate(decision.state))


def _with_case(case: str, review: Review | None) -> Review:
    """Return the review that has a case. Raises Problem where there is none."""
    if review is None or review.case is None:
        raise Problem(404, "No such case", f"There is no case {case}.")
    return review
