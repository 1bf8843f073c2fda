"""Digests: what was said in a stretch of time, told once to every place that wants to know."""

from bridge.digest.rule import DigestRule
from bridge.digest.sections import SECTIONS
from bridge.digest.window import SETTLE, Closed, close_due, preview

__all__ = ["SECTIONS", "SETTLE", "Closed", "DigestRule", "close_due", "preview"]
