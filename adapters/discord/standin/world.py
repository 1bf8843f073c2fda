"""What a running stand-in consists of, for its endpoints and for tests."""

from adapters.discord.standin.deeds import Deeds
from adapters.discord.standin.gateway.hub import Hub
from adapters.discord.standin.gateway.protocol import Gateway
from adapters.discord.standin.nonces import Nonces
from adapters.discord.standin.workspace import Workspace
from adapters.standin import Faults, Journal, Knobs


class World:
    """One guild, those who listen to it, and what is to go wrong. `url` has no path."""

    def __init__(self, knobs: Knobs) -> None:
        self.faults = Faults()
        self.journal = Journal()
        self.knobs = knobs
        self.workspace = Workspace()
        self.hub = Hub()
        self.gateway = Gateway(self.workspace, self.hub, self.knobs)
        self.deeds = Deeds(self.workspace, self.hub, self.journal)
        self.nonces = Nonces()
        self.url = ""
