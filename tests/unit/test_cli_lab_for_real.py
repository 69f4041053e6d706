"""Slow: the real JupyterLab behind `kextlab lab`, and the wheel a stranger installs."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-this-test"
PATIENCE = 60.0  # seconds until a server that does not answer is called dead


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int

    def ask(self, path: str, method: str = "GET") -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            headers={"Authorization": f"token {TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            body: bytes = answer.read()
            return body

    def ask_json(self, path: str, method: str = "GET") -> Any:
        return json.loads(self.ask(path, method))

    def open_websocket(self, path: str) -> socket.socket:
        """A websocket just opened; nothing is sent on it."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: token {TOKEN}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: a2V4dGxhYi1pcy1oZXJlIQ==",
        )
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        return client

    def end_of(self, client: socket.socket) -> socket.socket:
        """The server's own socket at the other end of `client`, duplicated by pidfd_getfd(2)."""
        pidfd_getfd = 438
        process = os.pidfd_open(self.process.pid)
        try:
            for fd in Path(f"/proc/{self.process.pid}/fd").iterdir():
                if not os.readlink(fd).startswith("socket:"):
                    continue
                copy = ctypes.CDLL(None, use_errno=True).syscall(
                    pidfd_getfd, process, int(fd.name), 0
                )
                assert copy >= 0, os.strerror(ctypes.get_errno())
                end = socket.socket(fileno=copy)
                if end.family == socket.AF_INET and peer_of(end) == client.getsockname():
                    return end
                end.close()
        finally:
            os.close(process)
        raise AssertionError("the server has no socket with that peer")


def peer_of(end: socket.socket) -> object:
    try:
        return end.getpeername()
    except OSError:  # it listens
        return None


def wait_for(what: Any) -> None:
    """Call `what` until it is true."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (home / "lesson.ipynb").write_text(json.dumps(empty))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "kextlab", "lab", "--no-browser", "--port", str(port)]
    log = (home / "log").open("wb")
    process = subprocess.Popen(
        [*command, "--notebook", "lesson.ipynb"],
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "JUPYTER_TOKEN": TOKEN, "HOME": str(home)},
    )
    lab = Server(process, port)

    def answers() -> bool:
        assert process.poll() is None, (home / "log").read_text()
        try:
            return bool(lab.ask_json("/api/status"))
        except OSError:
            return False

    try:
        wait_for(answers)
        yield lab
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        log.close()


def test_jupyterlab_does_not_ask_about_its_news(server: Server) -> None:
    page = server.ask_json("/lab/api/settings/@jupyterlab/apputils-extension:notification")
    assert page["schema"]["properties"]["fetchNews"]["default"] == "false"
    assert page["schema"]["properties"]["checkForUpdates"]["default"] is False


def test_jupyterlab_answers_on_the_port_asked_for(server: Server) -> None:
    assert "started" in server.ask_json("/api/status")
    assert b"JupyterLab" in server.ask("/lab")


def test_the_notebooks_folder_is_the_root(server: Server) -> None:
    entries = server.ask_json("/api/contents")["content"]
    assert "lesson.ipynb" in [entry["name"] for entry in entries]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into another process's sockets")
def test_a_kernels_websocket_has_tcp_nodelay_set(server: Server) -> None:
    kernel = server.ask_json("/api/kernels", "POST")["id"]
    channels = f"/api/kernels/{kernel}/channels"
    with server.open_websocket(channels) as client, server.end_of(client) as end:
        wait_for(lambda: end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    server.ask(f"/api/kernels/{kernel}", "DELETE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    return next(folder.glob("kextlab-*.whl"))


def test_the_wheel_carries_the_package_and_the_notebooks_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"kextlab"}
    due = (
        "py.typed",
        "notebooks/01-registration.ipynb",
        "exercises/03-units.ipynb",
        "course/glossary.toml",
        "course/include/kextlab.h",
        "course/questions/q03.toml",
    )
    assert {f"kextlab/{name}" for name in due} <= set(names)
    assert not [name for name in names if "solutions" in name]


def test_the_installed_wheel_runs_and_finds_the_first_notebook(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "-t", site, wheel],
        check=True,
    )
    probe = (
        "from pathlib import Path; from kextlab.cli.lab import find_place;"
        "print(find_place(None, Path.cwd()).notebook.relative_to(Path.cwd()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "kextlab-notebooks/notebooks/00-map.ipynb"
