"""The tables of the store, the status of a delivery, and the one type for moments."""

from bridge.models.base import EPOCH, Moment, Status
from bridge.models.talk import Account, Channel, Message, Person, Quarantine, Reaction
from bridge.models.work import Budget, Delivery, Digest, DigestWindow, Lane, Lease, Rule, Worker

__all__ = [
    "EPOCH",
    "Account",
    "Budget",
    "Channel",
    "Delivery",
    "Digest",
    "DigestWindow",
    "Lane",
    "Lease",
    "Message",
    "Moment",
    "Person",
    "Quarantine",
    "Reaction",
    "Rule",
    "Status",
    "Worker",
]
