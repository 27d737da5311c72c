"""What Ctrl-C and SIGTERM do to a training."""

from __future__ import annotations

import signal
import threading

from face_parsing.system import distributed
from face_parsing.system.workers import is_dead_worker


class Interruption:
    """What SIGINT and SIGTERM do: end the program at once, but while it trains, after the step it is at.

    That step is saved. An exception out of nowhere can land in a clean-up callback, where Python prints and forgets
    it: what was asked for is done after the next step then. A second signal does not wait, but for that of torchrun,
    which passes on what the terminal has sent already.

    Python lets only the main thread say what signals do. A training in another one is not interrupted by them.
    """

    def __init__(self) -> None:
        self.waits = False
        self.requested = False
        numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
        self._before = {number: signal.getsignal(number) for number in numbers}

    def __enter__(self) -> Interruption:
        for number in self._before:
            signal.signal(number, self._note)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.requested and is_dead_worker(error):  # the signal went to the loader's process as well
            raise KeyboardInterrupt from None

    def _note(self, signum: int, frame: object) -> None:
        again, self.requested = self.requested, True
        if not self.waits or (again and distributed.world_size() == 1):
            raise KeyboardInterrupt
