"""Names in recordings that stand for numbers: constants of Darwin and ioctl requests."""

from __future__ import annotations

from kextlab.abi import constants, ioctl
from kextlab.scenario.recording import in_json

IOCTLS = {
    name: getattr(ioctl, name)
    for name in (
        "CTLIOCGCOUNT",
        "CTLIOCGINFO",
        "SIOCGKEVID",
        "SIOCSKEVFILT",
        "SIOCGKEVFILT",
        "SIOCGKEVVENDOR",
        "FIONREAD",
        "FIONBIO",
        "FIOASYNC",
        "SIOCATMARK",
        "SIOCSPGRP",
        "SIOCGPGRP",
    )
}


def constant(value: str | int) -> int:
    """A number given by its name.

    Raises:
        NotImplementedError: no constant of that name is known.
    """
    if isinstance(value, int):
        return value
    number = getattr(constants, value, None)
    if not isinstance(number, int):
        raise NotImplementedError(f"constant {in_json(value)} is not known")
    return number


def command(value: str | int) -> int:
    """An ioctl request: a name, a number in a string or a number.

    Raises:
        NotImplementedError: no request of that name is known.
    """
    if isinstance(value, int):
        return value
    if value in IOCTLS:
        return int(IOCTLS[value])
    try:
        return int(value, 0)
    except ValueError:
        raise NotImplementedError(f"ioctl request {in_json(value)} is not known") from None
