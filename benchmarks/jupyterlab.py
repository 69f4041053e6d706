"""A real JupyterLab, started as `kextlab lab` starts it, for benchmarks and browser tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import BenchmarkError

TOKEN = "a-token-for-this-run"
PATIENCE = 180.0
"""Seconds until a server that does not answer is called dead."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A running server: where it answers, and the folder it shows."""

    port: int
    folder: Path

    def url(self, notebook: str) -> str:
        """The address at which it opens that notebook, in a workspace of its own."""
        return (
            f"http://127.0.0.1:{self.port}/lab/workspaces/{notebook.partition('.')[0]}"
            f"/tree/{notebook}?reset&token={TOKEN}"
        )

    def ask(self, path: str, method: str = "GET") -> bytes:
        """What it answers to a request."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            headers={"Authorization": f"token {TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            body: bytes = answer.read()
            return body


def notebook(cells: Sequence[str]) -> str:
    """A notebook of these code cells, as a file's text."""
    return json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code", "execution_count": None, "id": f"cell-{at}",
                    "metadata": {}, "outputs": [], "source": source,
                }
                for at, source in enumerate(cells)
            ],
            "metadata": {
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )  # fmt: skip


@contextmanager
def lab(folder: Path, first: str) -> Iterator[Lab]:
    """`kextlab lab` in ``folder``, with the notebook ``first``, until the block ends.

    Raises:
        BenchmarkError: it ended, or did not answer in time; with the last line of its log.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "JUPYTER_TOKEN": TOKEN,
        "HOME": str(folder),
        "JUPYTER_CONFIG_DIR": str(folder / ".jupyter"),
    }
    log = folder / "jupyterlab.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "kextlab", "lab", "--no-browser",
                "--port", str(port), "--notebook", first,
            ],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            env={**os.environ, **settings},
        )  # fmt: skip
        server = Lab(port, folder)
        try:
            _wait(server, process, log)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(server: Lab, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            server.ask("/api/status")
        except OSError:
            pass
        else:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise BenchmarkError(f"JupyterLab does not answer: {' '.join(last)}")
        time.sleep(0.1)
