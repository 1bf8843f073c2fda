"""Discord's error answers, by the names of its documentation."""

from http import HTTPStatus
from typing import Any

from adapters.standin import JsonDict


class Refusal(Exception):  # noqa: N818 - not a failure of ours: it is the answer
    """An error answer. `tree` is the nested `errors` object of a form error."""

    def __init__(self, status: int, code: int, message: str, tree: JsonDict | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: JsonDict = {"message": message, "code": code}
        if tree:
            self.body["errors"] = tree


def unknown(what: str) -> Refusal:
    """404 for an id that names nothing; `what` is Channel, Message, User and so on."""
    return Refusal(HTTPStatus.NOT_FOUND, _UNKNOWN[what], f"Unknown {what}")


def unauthorized() -> Refusal:
    """401 for a token nobody has."""
    return Refusal(HTTPStatus.UNAUTHORIZED, 0, "401: Unauthorized")


def not_found() -> Refusal:
    """404 for a path that is no endpoint."""
    return Refusal(HTTPStatus.NOT_FOUND, 0, "404: Not Found")


def missing_access() -> Refusal:
    """403 for a channel our app cannot see."""
    return Refusal(HTTPStatus.FORBIDDEN, 50001, "Missing Access")


def missing_permissions() -> Refusal:
    """403 for something our app may not do in a channel it sees."""
    return Refusal(HTTPStatus.FORBIDDEN, 50013, "Missing Permissions")


def closed_to_us() -> Refusal:
    """403 for a person who takes no direct messages from our app."""
    return Refusal(HTTPStatus.FORBIDDEN, 50007, "Cannot send messages to this user")


def not_the_author() -> Refusal:
    """403 for an edit of somebody else's message."""
    return Refusal(HTTPStatus.FORBIDDEN, 50005, "Cannot edit a message authored by another user")


def system_message() -> Refusal:
    """403 for touching a message the platform wrote."""
    return Refusal(HTTPStatus.FORBIDDEN, 50021, "Cannot execute action on a system message")


def empty_message() -> Refusal:
    """400 for a message without anything in it."""
    return Refusal(HTTPStatus.BAD_REQUEST, 50006, "Cannot send an empty message")


def wrong_channel_type() -> Refusal:
    """400 for an action this kind of channel does not know."""
    return Refusal(HTTPStatus.BAD_REQUEST, 50024, "Cannot execute action on this channel type")


def thread_exists() -> Refusal:
    """400 for a second thread on one message."""
    return Refusal(
        HTTPStatus.BAD_REQUEST, 160004, "A thread has already been created for this message"
    )


def no_history() -> Refusal:
    """403 for a reply where our app cannot read what it answers."""
    return Refusal(
        HTTPStatus.FORBIDDEN, 160002, "Cannot reply without permission to read message history"
    )


def too_many_reactions() -> Refusal:
    """400 for the 21st different reaction of a message."""
    return Refusal(HTTPStatus.BAD_REQUEST, 30010, "Maximum number of reactions reached (20)")


def unknown_emoji() -> Refusal:
    """400 for a reaction that is no emoji."""
    return Refusal(HTTPStatus.BAD_REQUEST, 10014, "Unknown Emoji")


def thread_archived() -> Refusal:
    """400 for changing something in an archived thread."""
    return Refusal(HTTPStatus.BAD_REQUEST, 50083, "Thread is archived")


def too_large() -> Refusal:
    """413 for a file or request beyond the limits."""
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 40005, "Request entity too large")


def not_json() -> Refusal:
    """400 for a body that cannot be parsed."""
    return Refusal(HTTPStatus.BAD_REQUEST, 50109, "The request body contains invalid JSON.")


def invalid_form(tree: JsonDict) -> Refusal:
    """400 with the nested errors of a form."""
    return Refusal(HTTPStatus.BAD_REQUEST, 50035, "Invalid Form Body", tree)


def fault(status: int) -> Refusal:
    """An answer without a reason, as a broken server gives it."""
    known = {one.value: one.phrase for one in HTTPStatus}
    return Refusal(status, 0, f"{status}: {known.get(status, 'Unknown')}")


class Form:
    """Collects what is wrong with a request's fields, by their paths."""

    def __init__(self) -> None:
        self._tree: JsonDict = {}

    def wrong(self, path: tuple[str | int, ...], code: str, message: str) -> None:
        """Note a complaint about the field at `path`."""
        node: Any = self._tree
        for part in path:
            node = node.setdefault(str(part), {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def settle(self) -> None:
        """Raise the form error if there was any complaint."""
        if self._tree:
            raise invalid_form(self._tree)


_UNKNOWN = {
    "Channel": 10003,
    "Guild": 10004,
    "Member": 10007,
    "Message": 10008,
    "User": 10013,
    "Webhook": 10015,
    "Interaction": 10062,
}
