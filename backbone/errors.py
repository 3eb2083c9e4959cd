"""Defines the root of every error of ours, so that a caller can tell them from everything else."""


class SlicelineError(Exception):
    """Something in Sliceline went wrong."""

    def __init__(self, message: str | None = None) -> None:
        # An error says what its docstring says, unless it knows more. (python -OO drops docstrings.)
        super().__init__(message or (type(self).__doc__ or type(self).__name__).strip())
