"""How the stand-in says no: one exception that becomes `{"ok": false, "error": ...}`."""

from adapters.standin import JsonDict


class RefusedError(Exception):
    """A method was refused with one of Slack's error codes; `extra` joins the answer's body."""

    def __init__(self, code: str, **extra: object) -> None:
        super().__init__(code)
        self.code = code
        self.extra = extra

    def body(self) -> JsonDict:
        """The answer's body."""
        return {"ok": False, "error": self.code, **self.extra}


def invalid_arguments(*messages: str) -> RefusedError:
    """An `invalid_arguments` refusal; each message is Slack's "[ERROR] ..." line."""
    lines = [f"[ERROR] {message}" for message in messages]
    return RefusedError("invalid_arguments", response_metadata={"messages": lines})
