"""Which namespaces belong to whom, and how a lab ends when its process does.

A namespace of a lab is named rf-PID-STARTxRANDOM-N-HOST. The start time of the process
is there because process numbers are reused: both together name a process for good.
"""

import atexit
import contextlib
import os
import re
import secrets
import signal
import threading

from netlab import kernel

_NETNS_NAME = re.compile(r"rf-(\d+)-([0-9a-z]+)x[0-9a-f]+-")
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def _base36(number):
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = digits[digit] + text
    return text or "0"


def _is_abandoned(netns):
    """Whether a namespace is a lab's whose process has ended."""
    match = _NETNS_NAME.match(netns)
    if not match:
        return False
    started = kernel.start_time(int(match[1]))
    return started is None or _base36(started) != match[2]


def new_prefix():
    """The start of the names of a new lab of this process."""
    pid = os.getpid()
    return f"rf-{pid}-{_base36(kernel.start_time(pid))}x{secrets.token_hex(2)}-"


def sweep():
    """Remove what labs of dead processes left behind; return the names removed."""
    abandoned = [netns for netns in kernel.names() if _is_abandoned(netns)]
    if abandoned:
        kernel.kill_processes(abandoned)
        for netns in abandoned:
            kernel.remove(netns)
    return abandoned


class _Exits:
    """Closes the living labs when the process ends, however it ends.

    A signal that arrives while a lab is being built or removed waits for the end of
    that step, so that nothing half made is overlooked.
    """

    def __init__(self):
        self._labs = set()
        self._steps = 0
        self._pending = None
        atexit.register(self._close_all)

    def add(self, lab):
        self._labs.add(lab)
        if threading.current_thread() is not threading.main_thread():
            return  # Python sets signal handlers in the main thread only
        for number in _SIGNALS:
            # whoever handles or ignores a signal decides for himself how to end, and
            # Python's own handler of SIGINT unwinds the with blocks already
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, self._on_signal)

    def discard(self, lab):
        self._labs.discard(lab)
        if self._labs or threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, signal.SIG_DFL)

    @contextlib.contextmanager
    def step(self):
        self._steps += 1
        try:
            yield
        finally:
            self._steps -= 1
            if not self._steps and self._pending is not None:
                number, self._pending = self._pending, None
                os.kill(os.getpid(), number)

    def _close_all(self):
        for lab in list(self._labs):
            lab.close()

    def _on_signal(self, number, _frame):
        if self._steps:
            self._pending = number
            return
        self._close_all()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


exits = _Exits()
