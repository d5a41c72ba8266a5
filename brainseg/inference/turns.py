"""Requests that wait for the same network go through it together; only one network runs at a time.

A forward pass uses all cores. Two at once would only take turns on them, so whoever comes second
waits, and everyone who waits for the same network shares one pass.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

MOST_SLICES = 16  # in one pass: activations of more take memory and no longer gain time


class Turns:
    """A lock that is handed on in the order of asking. A ``threading.Lock`` would let the loop
    over a volume take it again and again, and nobody else would get in."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        with self._guard:
            turn = None
            if self._taken:
                turn = threading.Event()
                self._waiting.append(turn)
            self._taken = True
        if turn is not None:
            try:
                turn.wait()
            except BaseException:  # Ctrl-C: whoever comes next must not wait for this one
                self._give_up(turn)
                raise
        try:
            yield
        finally:
            self._hand_on()

    def _give_up(self, turn: threading.Event) -> None:
        with self._guard:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
        self._hand_on()  # its turn had come

    def _hand_on(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


ALL_CORES = Turns()


class Batcher:
    """Calls ``run`` on the planes of everyone who waits, float32 (n, channels, size, size), and
    gives each their own part of what it returns, (n, size, size) or, of a network that tells
    classes apart, (n, classes, size, size)."""

    def __init__(self, run: Callable[[np.ndarray], np.ndarray]) -> None:
        self.run = run
        self._guard = threading.Lock()
        self._waiting: deque[_Request] = deque()

    def __call__(self, planes: np.ndarray) -> np.ndarray:
        """At most ``MOST_SLICES`` planes. Raises what ``run`` raises."""
        request = _Request(planes)
        with self._guard:
            self._waiting.append(request)
        with ALL_CORES.taken():
            while not request.is_done:  # somebody before may have served it along
                self._serve(self._next_batch())
        if request.error is not None:
            raise request.error
        return request.answer

    def _next_batch(self) -> list[_Request]:
        batch, slices = [], 0
        with self._guard:
            while self._waiting:
                slices += len(self._waiting[0].planes)
                if batch and slices > MOST_SLICES:
                    break
                batch.append(self._waiting.popleft())
        return batch

    def _serve(self, batch: list[_Request]) -> None:
        try:
            answers = self.run(np.concatenate([request.planes for request in batch]))
            ends = np.cumsum([len(request.planes) for request in batch])[:-1]
            for request, answer in zip(batch, np.split(answers, ends), strict=True):
                request.answer = answer
        except BaseException as error:
            for request in batch:
                request.error = error
            if not isinstance(error, Exception):  # Ctrl-C stops this thread too
                raise


class _Request:
    def __init__(self, planes: np.ndarray) -> None:
        self.planes = planes
        self.answer: np.ndarray | None = None
        self.error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.answer is not None or self.error is not None
