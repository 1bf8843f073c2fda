"""What people do, as the control API tells it: post edit delete react unreact channel person.

Beyond the common acts: `channel` takes `denied` (permission bits our app lacks there); `person`
takes `private` (no direct messages from our app); `archive` puts a `thread` away until somebody
posts in it; `raw` dispatches event `t` with data `d`; `privileged` sets the privileged intents
that are switched on (`intents`).
"""

from collections.abc import Callable

from adapters.discord.standin import wire
from adapters.discord.standin.forms import THREAD_NAME, Draft, ThreadDraft
from adapters.discord.standin.rest.files import attach
from adapters.discord.standin.speech import Allowed, shown, typed
from adapters.discord.standin.workspace import TEXT, Channel, Message, Person
from adapters.discord.standin.world import World
from adapters.standin import JsonDict

LONGEST = 4000
"""What a person may type; our app may send half of that."""


def act(world: World, given: JsonDict) -> JsonDict:
    """Do it. Raises KeyError or ValueError for what does not exist or makes no sense."""
    what = str(given.get("do"))
    if what not in _ACTS:
        raise ValueError(f"nobody can do {what!r}")
    done = _ACTS[what](world, given)
    return {"id": done.id} if done else {}


def _post(world: World, given: JsonDict) -> Message:
    author = world.workspace.person(str(given.get("person")))
    place = world.workspace.channel(str(given.get("channel")))
    if given.get("thread"):
        place = _thread(world, author, place, str(given["thread"]))
    answers = _message(world, given["reply_to"]) if given.get("reply_to") else None
    draft = Draft(content=_text(world, given))
    draft.files = [attach(world, place, str(name), b"") for name in given.get("files") or ()]
    if draft.empty:
        raise ValueError("a message needs text")
    return world.deeds.post(author, place, draft, answers)


def _text(world: World, given: JsonDict) -> str:
    text = typed(world.workspace, str(given.get("text", "")).strip())
    if len(text) > LONGEST:
        raise ValueError(f"a message has {LONGEST} characters at most")
    return text


def _thread(world: World, author: Person, parent: Channel, native_id: str) -> Channel:
    """The thread with that id, started from the message with that id if need be."""
    known = world.workspace.channels.get(native_id)
    if known and known.parent is parent:
        return known
    root = _message(world, native_id)
    if root.channel is not parent or parent.kind != TEXT:
        raise ValueError(f"message {native_id} cannot have a thread in {parent.name!r}")
    name = shown(world.workspace, root.wire["content"])[:THREAD_NAME].strip() or "thread"
    return world.deeds.start_thread(author, root, ThreadDraft(name))


def _delete(world: World, given: JsonDict) -> Message:
    message = _message(world, given.get("message"))
    world.deeds.delete(message)
    return message


def _edit(world: World, given: JsonDict) -> Message:
    message = _message(world, given.get("message"))
    if given.get("person") not in {None, "", message.author.name}:
        raise ValueError(f"message {message.id} is not by {given['person']}")
    world.deeds.edit(message, {"content": _text(world, given)}, Allowed())
    return message


def _react(world: World, given: JsonDict) -> Message:
    message, person, sign = _reaction(world, given)
    world.deeds.react(person, message, sign)
    return message


def _unreact(world: World, given: JsonDict) -> Message:
    message, person, sign = _reaction(world, given)
    world.deeds.unreact(person, message, sign)
    return message


def _reaction(world: World, given: JsonDict) -> tuple[Message, Person, str]:
    message = _message(world, given.get("message"))
    person = world.workspace.person(str(given.get("person")))
    sign = wire.sign_of(str(given.get("emoji", "")))
    if sign is None:
        raise ValueError(f"there is no emoji {given.get('emoji')!r}")
    return message, person, sign


def _channel(world: World, given: JsonDict) -> Channel:
    name = str(given.get("channel", ""))
    private, denied = bool(given.get("private")), int(given.get("denied") or 0)
    known = world.workspace.find_channel(name)
    if known is None:
        return world.deeds.add_channel(name, private=private, denied=denied)
    world.deeds.change_channel(known, private=private, denied=denied)
    return known


def _person(world: World, given: JsonDict) -> Person:
    name, closed = str(given.get("person", "")), bool(given.get("private"))
    known = world.workspace.find_person(name)
    if known is None:
        return world.deeds.add_person(name, closed=closed)
    known.closed = closed
    return known


def _archive(world: World, given: JsonDict) -> Channel:
    thread = world.workspace.channels.get(str(given.get("thread")))
    if thread is None or thread.parent is None:
        raise KeyError(f"there is no thread {given.get('thread')!r}")
    world.deeds.turn(thread, archived=True)
    return thread


def _message(world: World, native_id: object) -> Message:
    found = world.workspace.messages.get(str(native_id))
    if found is None or found.deleted:
        raise KeyError(f"there is no message {native_id!r}")
    return found


def _raw(world: World, given: JsonDict) -> None:
    world.hub.dispatch(str(given["t"]), given["d"])


def _privileged(world: World, given: JsonDict) -> None:
    world.gateway.privileged = int(given["intents"])


_ACTS: dict[str, Callable[[World, JsonDict], Message | Channel | Person | None]] = {
    "post": _post,
    "edit": _edit,
    "delete": _delete,
    "react": _react,
    "unreact": _unreact,
    "channel": _channel,
    "archive": _archive,
    "person": _person,
    "raw": _raw,
    "privileged": _privileged,
}
