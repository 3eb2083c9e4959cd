"""Says who asks, and whose things that one may touch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """Is who sent a request: `name` is the token's `sub`, which events, timelines and mails name."""

    name: str
    only: str | None = None
    """Whose things alone this request may touch, as a customer's: her own. None: everybody's."""
    over_at: float | None = None
    """When the token counts no more, on the event loop's clock: what is answered on and on ends then. None: never."""

    @property
    def named(self) -> str | None:
        """The name, where a token tells it; None of NOBODY."""
        return None if self is NOBODY else self.name

    def may_touch(self, owner: str | None) -> bool:
        """Tell whether a thing of this owner is there for the caller; one without an owner is for whoever knows it."""
        return self.only is None or owner is None or owner == self.only


NOBODY = Caller("anonymous")
"""Who sends no token: the caller of an open route, and of every route where nobody is asked for one."""


@dataclass(frozen=True)
class Permission:
    """Says who may use a route: who has the scope, or, with `own`, whoever has `scope`.own, for what is his own.

    Without a scope it is open, for the reason that `why` tells.
    """

    scope: str | None
    own: bool = False
    why: str = ""

    def is_staffs(self, caller: Caller) -> bool:
        """Tell whether what this caller may do here is done for the shop: by staff, and not for what is one's own."""
        return self.scope is not None and not (self.own and (caller is NOBODY or caller.only is not None))

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of which one is needed."""
        if self.scope is None:
            return ()
        return (self.scope, own(self.scope)) if self.own else (self.scope,)


def own(scope: str) -> str:
    """Return the scope that gives the same for one's own things alone."""
    return f"{scope}.own"
