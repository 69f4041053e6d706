"""Options of a control: setsockopt and getsockopt at level SYSPROTO_CONTROL.

Models the two halves of ``ctl_ctloutput`` (``bsd/kern/kern_control.c``). What an option means is
the kext's business; the kernel copies values in and out and checks lengths, not all of them
[opt-size-query-claim].
"""

from __future__ import annotations

from kextlab.abi.errno import ENOTSUP
from kextlab.bsd.kctl import CtlCb, Kctl, Out
from kextlab.bsd.kern_control import KernControl
from kextlab.bsd.socketvar import Sockopt
from kextlab.bsd.sockopt import sooptcopyin, sooptcopyout
from kextlab.sched.drive import LET_GO, Routine
from kextlab.sched.stop import PAGE_FAULT, KernelPanic


def setopt(control: KernControl, kctl: Kctl, kcb: CtlCb, sopt: Sockopt) -> Routine[int]:
    """Hand an option's value to the kext.

    Errors: ENOTSUP (no setopt callback), EFAULT (a length, but a null pointer), the callback's.
    """
    if kctl.setopt is None:
        return ENOTSUP
    data = None
    if sopt.valsize:
        error = sooptcopyin(sopt, sopt.valsize)
        if error:
            return error
        data = sopt.val
    yield LET_GO  # unlocked
    unit, size = kcb.sac.sc_unit, sopt.valsize
    error = yield from control.call(
        kctl,
        "setopt",
        kctl.setopt,
        (kctl.kctlref, unit, kcb.unitinfo.value, sopt.name, data, size),
        kctl.kctlref,
        unit,
        sopt.name,
        data,
        size,
    )
    yield LET_GO  # locked again
    return error


def getopt(control: KernControl, kctl: Kctl, kcb: CtlCb, sopt: Sockopt) -> Routine[int]:
    """Ask the kext for an option's value; with a null pointer, for its length only.

    Errors: ENOTSUP (no getopt callback), the callback's; then nothing is copied.

    Raises:
        KernelPanic: getopt claimed more bytes than the buffer it was given has, whatever errno it
            returned [opt-get-panic]; it changed the size of the buffer, or claimed what is no int.
    """
    if kctl.getopt is None:
        return ENOTSUP
    data = None
    if sopt.valsize and sopt.val is not None:
        data = bytearray(sopt.val[: sopt.valsize])
    yield LET_GO  # unlocked
    unit, size = kcb.sac.sc_unit, sopt.valsize
    length = Out(size)
    with memoryview(data if data is not None else b""):  # as in C, the buffer keeps its size
        error = yield from control.call(
            kctl,
            "getopt",
            kctl.getopt,
            (kctl.kctlref, unit, kcb.unitinfo.value, sopt.name, data, length),
            kctl.kctlref,
            unit,
            sopt.name,
            size,
        )
    claimed = _claimed(length.value)
    if data is not None and claimed > size:
        raise KernelPanic(
            f"ctl_ctloutput: ctl {kctl.name} returned len ({claimed}) > sopt_valsize ({size})"
        )
    yield LET_GO  # locked again
    if error:
        return error
    if data is None:
        sopt.valsize = claimed
        return 0
    return sooptcopyout(sopt, bytes(data[:claimed]))


def _claimed(length: object) -> int:
    """The length a getopt callback claims, a ``size_t``: -1 is the largest there is."""
    if not isinstance(length, int):
        raise KernelPanic(
            f"{PAGE_FAULT}: callback getopt left {length!r} in length.value, an int is due"
        )
    return length & 0xFFFFFFFFFFFFFFFF
