"""Real processes under seeded trouble, with the stand-ins as judges of what came through."""
