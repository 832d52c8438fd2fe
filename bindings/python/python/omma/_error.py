"""The exception of every operator."""

import enum

__all__ = ["OmmaError", "Status"]


class Status(enum.IntEnum):
    """The kind of a failure, numbered as in the C ABI."""

    INVALID_ARGUMENT = 1
    """An argument is outside of its domain."""
    SHAPE_MISMATCH = 2
    """The shapes of two arguments do not go together."""
    UNSUPPORTED = 3
    """A legal request that this build or CPU cannot serve."""
    BUFFER_TOO_SMALL = 4
    """``out`` has less room than the result needs."""
    OUT_OF_MEMORY = 5
    """Memory could not be had."""
    INTERNAL = 6
    """A defect of omma."""


class OmmaError(Exception):
    """What an operator raises: the kind of failure, and a sentence that names the argument.

    Examples
    --------
    >>> import omma
    >>> try:
    ...     omma.matmul([[1, 2]], [[1, 2]])
    ... except omma.OmmaError as error:
    ...     print(error.status == omma.Status.SHAPE_MISMATCH, error.message)
    True matmul: a has 2 columns, b has 1 rows
    """

    status: int
    """One of `Status`."""
    message: str

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return self.message
