"""systemd's watchdog: a service that gives no sign of life in time is restarted.

The unit says `WatchdogSec=`; systemd then names its socket and the time in the environment (sd_notify(3),
sd_watchdog_enabled(3)). Without them nothing happens.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from time import monotonic

_SIGN = b"WATCHDOG=1"


class Watchdog:
    """Where this process shows that it lives, if anybody watches it."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Nobody does where the environment says nothing, or is meant for another process."""
        address, allowed_us = environment.get("NOTIFY_SOCKET", ""), environment.get("WATCHDOG_USEC", "")
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watched = bool(address) and allowed_us.isdecimal() and int(allowed_us) > 0 and mine
        self.every_s = int(allowed_us) / 2e6 if watched else None
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._last = -1e9

    def sign(self) -> None:
        """Now, if it is time: twice as often as is asked for."""
        now = monotonic()
        if self.every_s is None or now - self._last < self.every_s:
            return
        self._last = now
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(_SIGN, self._address)
        except OSError:  # nobody is there, or reads; then nobody waits for it either
            pass

    async def keep(self, alive: Callable[[], bool]) -> None:
        """From the event loop, as long as `alive` says that all is well; until cancelled."""
        while self.every_s is not None:
            if alive():
                self.sign()
            await asyncio.sleep(self.every_s / 2)
