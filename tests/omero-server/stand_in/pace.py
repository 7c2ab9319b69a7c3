"""How fast a file is read."""

import threading
import time


class Pace:
    """Lets so many bytes a second pass; a change of the rate counts from the next part on."""

    def __init__(self, sleep=time.sleep, clock=time.monotonic):
        self.sleep, self.clock = sleep, clock
        self.free_at = 0.0
        self.lock = threading.Lock()

    def wait(self, length, bytes_per_second):
        if not bytes_per_second:
            return
        with self.lock:
            now = self.clock()
            start = max(now, self.free_at)
            self.free_at = start + length / bytes_per_second
            seconds = self.free_at - now
        # The rate itself.
        self.sleep(seconds)
