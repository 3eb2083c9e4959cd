"""Makes the client's trace sound before FastAPI's telemetry looks at it."""

from starlette.types import Scope

from backbone.values.tracecontext import parse_headers

_NAMES = (b"traceparent", b"tracestate")


def with_sound_trace(scope: Scope) -> Scope:
    """Return the scope with its traceparent as we write it, or without it and its tracestate where it is not valid."""
    given = [value for name, value in scope.get("headers", ()) if name == b"traceparent"]
    if not given:
        return scope
    known = parse_headers(given)
    kept = [(name, value) for name, value in scope["headers"] if name not in (_NAMES if known is None else _NAMES[:1])]
    return {**scope, "headers": kept if known is None else [*kept, (b"traceparent", str(known).encode())]}
