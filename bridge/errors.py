"""Every error of the project, in one tree.

BridgeError
├── ConfigError            the admin can mend it: says what, where, what to do
├── StoreError             nothing was written; try the same again later
└── SendError              one attempt of a delivery did not end in a receipt
├── RetryableError     refused before anything happened: try again
│   └── RateLimitedError    ... after `retry_after` seconds
├── UnknownOutcomeError     it may have happened: look before sending again
└── PermanentError     the same request will never succeed
"""


class BridgeError(Exception):
    """Base of all errors raised on purpose; its text is one line a person can act on."""


class ConfigError(BridgeError):
    """config.toml (or the environment it reads) cannot be used as it is.

    `problems` holds one finished line per mistake: file, line, key, what is allowed.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreError(BridgeError):
    """The store could not be reached or refused the transaction; nothing was written."""


class SendError(BridgeError):
    """An attempt to send ended without a receipt."""


class RetryableError(SendError):
    """The platform refused before anything happened; the same request may succeed later."""


class RateLimitedError(RetryableError):
    """The platform asked to wait `retry_after` seconds. `scope` is "lane" or "account"."""

    def __init__(self, message: str, retry_after: float, scope: str = "lane") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.scope = scope


class UnknownOutcomeError(SendError):
    """The request may or may not have been carried out (5xx, time-out, lost response).

    `answered` says that the platform did answer, so that the request is not under way any more.
    """

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered


class PermanentError(SendError):
    """The platform will never accept this request; the text says why."""
