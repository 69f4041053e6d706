"""A process of its own that tells what a connected client takes: ``connect`` runs it.

``python -m benchmarks.memory CLIENTS on|off`` prints the bytes for each client, recording on or
off: socket and descriptor, its share of kernel and trace, the echo kext's record of it, and the
client program's socket object. tracemalloc counts what Python allocates, so the figure is exact
and the same on every run of one Python.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc

from benchmarks.client import control_socket, echo_process
from kextlab.kexts import EchoKext


def main(clients: int, recording: bool) -> float:
    """Bytes for each of ``clients`` connected clients."""
    _, app = echo_process(recording)
    sockets = [control_socket(app)]  # the first one pays for what all share
    sockets[0].connect(EchoKext.control_name)
    gc.collect()
    tracemalloc.start()
    for _ in range(clients):
        s = control_socket(app)
        s.connect(EchoKext.control_name)
        sockets.append(s)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    return held / clients


if __name__ == "__main__":
    print(main(int(sys.argv[1]), sys.argv[2] == "on"))
