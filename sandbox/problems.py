"""Answers errors as RFC 9457 problem details."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class Problem(Exception):
    """Is an answer that is an error: `code` for programs, `detail` for people; `more` is added to the body."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers, self.more = status, code, detail, headers, more

    def response(self) -> JSONResponse:
        media_type = "application/problem+json"
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return JSONResponse(body | self.more, self.status, self.headers, media_type)


def answer_problems(app: FastAPI) -> None:
    """Make every error of `app` a problem+json document; bad input names its fields in `errors`."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _bad_input)
    app.add_exception_handler(HTTPException, _http_error)


async def _problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class only
    return error.response()


async def _bad_input(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [{"field": _field(e["loc"]), "message": e["msg"]} for e in error.errors()]
    return Problem(422, "invalid", "See /openapi.json for what is expected.", errors=errors).response()


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    headers = dict(error.headers or {})
    return Problem(error.status_code, "http", str(error.detail), headers).response()


def _field(location: tuple[int | str, ...]) -> str:
    """Name a field: `("body", "amount", "currency")` becomes `amount.currency`."""
    return ".".join(str(part) for part in location[1:]) or str(location[0])
