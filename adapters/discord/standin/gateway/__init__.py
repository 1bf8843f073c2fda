"""The gateway of the stand-in: sessions that hear what happens, over WebSockets."""
