"""One list of currencies, whoever asks."""

import pytest
from pydantic import ValidationError

from backbone.settings import Settings
from backbone.values.currencies import is_currency, minor_digits


@pytest.mark.parametrize(
    ("code", "digits"),
    [
        ("GBP", 2),
        ("EUR", 2),
        ("JPY", 0),
        ("PYG", 0),
        ("KRW", 0),
        ("XAF", 0),
        ("IQD", 3),
        ("LYD", 3),
        ("CLF", 4),
        ("HRK", 2),
    ],
)
def test_a_currency_has_the_digits_that_iso_4217_gives_it(code: str, digits: int) -> None:
    assert minor_digits(code) == digits


@pytest.mark.parametrize("code", ["", "pounds", "gbp", "GBP ", "ZZZ", "XAU", "XXX", "XTS", "£", "826"])
def test_a_currency_that_no_price_can_be_in_is_refused_at_the_start(code: str) -> None:
    assert not is_currency(code)
    with pytest.raises(ValidationError, match="no currency that ISO 4217 lists"):
        Settings(database_url="postgresql://nobody@nowhere/nothing", currency=code)


@pytest.mark.parametrize("code", ["GBP", "JPY", "KWD", "PYG"])
def test_a_currency_that_prices_can_be_in_is_taken(code: str) -> None:
    assert Settings(database_url="postgresql://nobody@nowhere/nothing", currency=code).currency == code
