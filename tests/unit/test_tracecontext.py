"""W3C Trace Context's traceparent: what is valid, what is not, and what is carried on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from backbone.values.tracecontext import Traceparent, as_we_write_it, begin, parse, parse_headers

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
KNOWN = Traceparent(int(TRACE, 16), int(SPAN, 16), True)
SOUND = f"00-{TRACE}-{SPAN}-01"

NOT_VALID = [
    f"00-{TRACE}-{SPAN}-{'f' * 1_100_000}",  # the flags are two digits
    f"00-{TRACE}-{SPAN}-{'f' * 600}",
    f"00-{TRACE}-{SPAN}-1",
    f"00-{TRACE}-{SPAN}-01-",  # version 00 ends there
    f"00-{TRACE}-{SPAN}-01-what",
    f"00-{TRACE}-{SPAN}-01.what",
    f"ff-{TRACE}-{SPAN}-01",  # never a version
    f"0-{TRACE}-{SPAN}-01",
    f"000-{TRACE}-{SPAN}-01",
    f"cc-{TRACE}-{SPAN}-01.what",  # a later version goes on after a dash only
    f"00-{TRACE.upper()}-{SPAN}-01",
    f"00-{TRACE}-{SPAN.upper()}-01",
    f"00-{TRACE}-{SPAN}-0G",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE[1:]}-{SPAN}-01",
    f"00-{TRACE}0-{SPAN}-01",
    f"00-{TRACE}-{SPAN[1:]}-01",
    f"00-{TRACE}-{SPAN}",
    f"00_{TRACE}_{SPAN}_01",
    f"00-{TRACE}-{SPAN}-٠١",  # digits, but not those
    f"00-{TRACE}-{SPAN}-01\n",
    "",
    "-",
]
VALID = [
    SOUND,
    f"\t {SOUND} ",
    f"cc-{TRACE}-{SPAN}-01",
    f"cc-{TRACE}-{SPAN}-01-",
    f"fe-{TRACE}-{SPAN}-01-what-{'x' * 5000}",
    f"00-{TRACE}-{SPAN}-ff",
]


@pytest.mark.parametrize("text", NOT_VALID, ids=lambda text: text[:60])
def test_what_is_not_valid_counts_as_none(text: str) -> None:
    assert parse(text) is None
    assert as_we_write_it(text.encode()) is None


@pytest.mark.parametrize("text", VALID, ids=lambda text: text[:60])
def test_what_is_valid_is_carried_on_as_we_write_it(text: str) -> None:
    assert parse(text) == KNOWN
    assert as_we_write_it(text.encode()) == SOUND


@pytest.mark.parametrize(("flags", "sampled"), [("00", "00"), ("01", "01"), ("02", "00"), ("03", "01"), ("fe", "00")])
def test_of_the_flags_only_the_known_one_is_carried_on(flags: str, sampled: str) -> None:
    assert as_we_write_it(f"00-{TRACE}-{SPAN}-{flags}".encode()) == f"00-{TRACE}-{SPAN}-{sampled}"


def test_more_than_one_header_is_none() -> None:
    assert parse_headers([SOUND.encode()]) == KNOWN
    assert parse_headers([SOUND.encode(), SOUND.encode()]) is None
    assert parse_headers([]) is None


def test_a_trace_begins_with_what_is_valid_and_goes_on_in_itself() -> None:
    first = begin()
    after = first.next_step()
    assert parse(str(first)) == first
    assert parse(str(after)) == after
    assert (after.trace_id, after.span_id == first.span_id) == (first.trace_id, False)


digits = st.text("0123456789abcdefF-", max_size=40)


@given(st.text(max_size=70) | st.builds("{}-{}-{}-{}".format, digits, digits, digits, digits) | st.just(SOUND))
def test_what_is_carried_on_is_valid_to_others_too(text: str) -> None:
    found = parse(text)
    theirs = TraceContextTextMapPropagator().extract({"traceparent": text})
    known = trace.get_current_span(theirs).get_span_context()
    assert (known.trace_id, known.span_id) == ((found.trace_id, found.span_id) if found else (0, 0))
