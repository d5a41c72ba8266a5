"""Work in processes of their own, so that no setting, thread or memory of one reaches another, and
the memory that they hold."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path


@contextmanager
def in_own_process(make: Callable[..., Callable], *arguments) -> Iterator[Callable]:
    """``make(*arguments)`` in a new process; gives a function that passes its arguments to the
    one that ``make`` returned there, and gives back its answer.

    What that one raises is raised here, and does not end it; EOFError if ``make`` itself fails.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    # No daemon: those may not start processes, as a loader with workers does.
    process = context.Process(target=_serve, args=(there, make, arguments))
    process.start()
    there.close()

    def ask(*question):
        here.send(question)
        return receive()

    def receive():
        answer = here.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    try:
        receive()  # it is ready
        yield ask
    finally:
        here.close()
        process.join()


def _serve(asked: Connection, make: Callable[..., Callable], arguments: tuple) -> None:
    answer = make(*arguments)
    asked.send(None)
    while True:
        try:
            question = asked.recv()
        except EOFError:
            return
        try:
            asked.send(answer(*question))
        except Exception as error:
            asked.send(error)


def resident_gb(pid: int | str = "self") -> float:
    """Memory that a process holds now, in 10**9 bytes. NaN elsewhere than on Linux."""
    return _status(pid, "VmRSS")


def peak_gb() -> float:
    """The most that this process held since ``forget_peak``, likewise."""
    return _status("self", "VmHWM")


def forget_peak() -> None:
    """Begin to look for the peak anew; nothing elsewhere than on Linux."""
    refs = Path("/proc/self/clear_refs")
    if refs.is_file():
        refs.write_text("5")


def _status(pid: int | str, key: str) -> float:
    path = Path(f"/proc/{pid}/status")
    if not path.is_file():
        return float("nan")
    line = next(line for line in path.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024 / 1e9
