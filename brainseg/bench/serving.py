"""The app as visitors meet it: its first page, first comparison, memory, and many at once."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from brainseg.bench.processes import resident_gb

STARTS, VISITORS, COMPARISONS = 5, 20, 200
_THREE_LINES = """
import gradio as gr
with gr.Blocks() as demo: gr.Markdown("Hello")
demo.launch()
"""
_PATIENCE_S = 180
_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Running:
    """A server that has answered its first page ``first_page_s`` after it was started, at
    ``began`` on ``time.perf_counter``."""

    url: str
    pid: int
    began: float
    first_page_s: float


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[Running]:
    """Start a Gradio server on a free port, wait for its first page, and stop it in the end.

    Raises ChildProcessError if it ends before that page, TimeoutError if there is none in time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        **environment,
    }
    url = f"http://127.0.0.1:{port}/"
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(url, process)
        yield Running(url, process.pid, began, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def our_app(checkpoints: Path):
    """``python app.py`` with the checkpoints of a folder, as a context manager.

    Raises FileNotFoundError for an installed brainseg, which comes without app.py.
    """
    app = Path(__file__).parents[2] / "app.py"
    if not app.is_file():
        raise FileNotFoundError(f"{app} is not there: run the benchmark in a clone of brainseg.")
    return running([sys.executable, str(app)], BRAINSEG_CHECKPOINTS=str(checkpoints))


def first_pages(checkpoints: Path, rounds: int = STARTS) -> dict:
    """Time to the first page, of the app and of a Gradio app of three lines, in turns."""
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(rounds):
        with running([sys.executable, "-c", _THREE_LINES]) as server:
            times["plain"].append(server.first_page_s)
        with our_app(checkpoints) as server:
            times["ours"].append(server.first_page_s)
    medians = {key: statistics.median(values) for key, values in times.items()}
    return {
        "app_start_ratio": medians["ours"] / medians["plain"],
        "app_start_s": medians["ours"],
        "three_line_app_start_s": medians["plain"],
    }


def first_comparison_s(checkpoints: Path, slices: list[np.ndarray]) -> float:
    """From the start of the app until a visitor who came with its first page has an answer."""
    with tempfile.TemporaryDirectory() as folder, our_app(checkpoints) as server:
        (path,) = _files(slices[:1], Path(folder))
        _compare(server, path)
        return time.perf_counter() - server.began


def visits(
    checkpoints: Path, slices: list[np.ndarray], comparisons: int = COMPARISONS, rounds: int = 3
) -> dict:
    """Memory with all models loaded and after many comparisons; then all visitors at once, with a
    slice each, against the same one after another."""
    with tempfile.TemporaryDirectory() as folder, our_app(checkpoints) as server:
        paths = _files(slices, Path(folder))
        expected = [_compare(server, path) for path in paths]  # loads whatever isn't loaded yet
        loaded = resident_gb(server.pid)
        for number in range(comparisons):
            _compare(server, paths[number % len(paths)])
        used = resident_gb(server.pid)
        alone, together, errors, wrong = [], [], 0, 0
        for _ in range(rounds):
            began = time.perf_counter()
            for path in paths:
                _compare(server, path)
            alone.append(time.perf_counter() - began)
            began = time.perf_counter()
            with ThreadPoolExecutor(len(paths)) as pool:
                answers = list(pool.map(lambda path: _compare_or_error(server, path), paths))
            together.append(time.perf_counter() - began)
            errors += sum(isinstance(answer, Exception) for answer in answers)
            wrong += sum(
                not isinstance(answer, Exception) and not _is_same(answer, right)
                for answer, right in zip(answers, expected, strict=True)
            )
    return {
        "resident_loaded_gb": loaded,
        "resident_after_comparisons_gb": used,
        "resident_growth_ratio": used / loaded,
        "comparisons": comparisons,
        "visitors": len(paths),
        "visitors_ratio": statistics.median(alone) / statistics.median(together),
        "visitors_one_after_another_s": statistics.median(alone),
        "visitors_at_once_last_answer_s": statistics.median(together),
        "visitors_errors": errors,
        "visitors_with_wrong_answers": wrong,
    }


def _wait(url: str, process: subprocess.Popen) -> None:
    give_up = time.perf_counter() + _PATIENCE_S
    while time.perf_counter() < give_up:
        if process.poll() is not None:
            raise ChildProcessError(f"The app ended with status {process.returncode}.")
        try:
            _LOCAL.open(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"{url} did not answer within {_PATIENCE_S} s.")


def _files(slices: list[np.ndarray], folder: Path) -> list[Path]:
    paths = [folder / f"visitor_{number}.png" for number in range(len(slices))]
    for image, path in zip(slices, paths, strict=True):
        Image.fromarray(image).save(path)
    return paths


def _compare(server: Running, path: Path) -> dict:
    """A visitor of their own: a new connection, one comparison, its report."""
    from gradio_client import Client, handle_file

    client = Client(server.url, verbose=False)
    return client.predict(handle_file(path), None, api_name="/compare")


def _compare_or_error(server: Running, path: Path) -> dict | Exception:
    try:
        return _compare(server, path)
    except Exception as error:
        return error


def _is_same(answer: dict, expected: dict) -> bool:
    """The same file, and as many pixels marked, but for rounding in another batch."""
    found, right = answer["models"], expected["models"]
    if answer["source"] != expected["source"] or found.keys() != right.keys():
        return False
    pairs = [(found[name]["area_px"], right[name]["area_px"]) for name in right]
    return all(abs(one - other) <= 5 + 0.01 * other for one, other in pairs)
