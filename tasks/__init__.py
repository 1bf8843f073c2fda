"""When: every process there is, and the only floor that sees the other two."""
