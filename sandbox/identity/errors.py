"""What clients and people are told when they get nothing."""


class Unusable(Exception):
    """Says in one sentence why the provider cannot start."""


class OAuthError(Exception):
    """Is an error of RFC 6749: `code` for programs, `description` for people, in ASCII without quotes."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code, self.description, self.status = code, description, status


class Unauthenticated(OAuthError):
    """Refuses a client that did not show who it is."""

    def __init__(self, description: str) -> None:
        super().__init__("invalid_client", description, 401)


class NobodyToTell(Exception):
    """Refuses an authorization request whose redirect URI cannot be trusted, so that only the person reads why."""
