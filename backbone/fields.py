"""The kinds of text as fields of a body, a query or the settings."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from backbone.texts import EMAIL, LINE, LONGEST_EMAIL, LONGEST_KEY, NAME, email_objection


def _mailable(address: str) -> str:
    if objection := email_objection(address):
        raise ValueError(objection)
    return address


Line = Annotated[str, StringConstraints(pattern=LINE)]
Key = Annotated[str, StringConstraints(max_length=LONGEST_KEY, pattern=LINE)]
Name = Annotated[str, StringConstraints(max_length=LONGEST_KEY, pattern=NAME)]
Email = Annotated[str, StringConstraints(max_length=LONGEST_EMAIL, pattern=EMAIL), AfterValidator(_mailable)]
