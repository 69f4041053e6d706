"""Facts of the package kextlab.abi as a whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kextlab import abi


@pytest.mark.parametrize("name", abi.__all__)
def test_every_name_in_all_exists(name: str) -> None:
    assert hasattr(abi, name)


def test_the_names_a_notebook_starts_with_are_there() -> None:
    from kextlab.abi import CTLIOCGINFO, SYSPROTO_EVENT, CtlInfo, SockaddrCtl

    assert (CTLIOCGINFO, SYSPROTO_EVENT) == (0xC0644E03, 1)
    assert (CtlInfo.SIZE, SockaddrCtl.SIZE) == (100, 32)


def test_importing_it_brings_in_no_clock_randomness_thread_or_io() -> None:
    # Isolated and without site, so that only the package's own imports are seen.
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules)\n"
        "import kextlab.abi\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    root = str(abi.__file__).rsplit("/kextlab/", 1)[0]
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, root],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(answer.stdout.split())
    assert "kextlab.abi" in loaded
    forbidden = {"random", "threading", "asyncio", "socket", "select", "errno", "IPython"}
    assert not loaded & forbidden


def test_the_structures_agree_with_the_sizes_in_their_requests() -> None:
    sizes = {
        abi.CTLIOCGINFO: abi.CtlInfo.SIZE,
        abi.SIOCSKEVFILT: abi.KevRequest.SIZE,
        abi.SIOCGKEVFILT: abi.KevRequest.SIZE,
        abi.SIOCGKEVVENDOR: abi.KevVendorCode.SIZE,
    }
    for request, size in sizes.items():
        assert abi.ioctl.decode(request).size == size
