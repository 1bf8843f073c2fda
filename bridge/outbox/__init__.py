"""The outbox: every change of a delivery's status is one function here. Transactions only."""

from bridge.outbox.by_hand import BY_COMMAND, revive, withdraw
from bridge.outbox.ending import cancel, drop, echoed, give_up, hold, sent
from bridge.outbox.owing import keep_rules, owe, owe_bodies
from bridge.outbox.trying import Refusal, bundle, claim, read_anew, retry, untried

__all__ = [
    "BY_COMMAND",
    "Refusal",
    "bundle",
    "cancel",
    "claim",
    "drop",
    "echoed",
    "give_up",
    "hold",
    "keep_rules",
    "owe",
    "owe_bodies",
    "read_anew",
    "retry",
    "revive",
    "sent",
    "untried",
    "withdraw",
]
