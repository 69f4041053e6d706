"""A machine that records nothing answers as one that records everything."""

from kextlab.abi import constants as c
from kextlab.abi.errno import ENOBUFS
from kextlab.abi.ioctl import SIOCGKEVFILT, SIOCSKEVFILT
from kextlab.abi.structs import KevRequest, SockaddrCtl
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kext import Kext
from kextlab.kernel.kpi import KernCtlReg, KevMsg, Out


def story(mac: Kernel) -> list[object]:
    """What a machine answers: to an event socket, to a kext's packet, and when mbufs run out."""
    kpi = mac.load(Kext).kpi
    calls, pid = mac.syscalls, mac.start_process("test").pid
    listening = calls.socket(pid, c.PF_SYSTEM, c.SOCK_RAW, c.SYSPROTO_EVENT)[1]
    answers: list[object] = [
        calls.ioctl(pid, listening, SIOCSKEVFILT, KevRequest(0, 0, 0).pack()),
        calls.ioctl(pid, listening, SIOCGKEVFILT, bytes(12)),
    ]
    code, ref, packet = Out(), Out(), Out()
    kpi.kev_vendor_code_find("org.kextlab", code)
    answers += [kpi.kev_msg_post(KevMsg(code.value, 1, 2, 3)), calls.recvfrom(pid, listening, 200)]
    answers += [calls.close(pid, listening)]

    kpi.ctl_register(KernCtlReg("a", ctl_connect=lambda *a: 0, ctl_send=lambda *a: 0), ref)
    fd = calls.socket(pid, c.PF_SYSTEM, c.SOCK_DGRAM, c.SYSPROTO_CONTROL)[1]
    answers += [calls.connect(pid, fd, SockaddrCtl(sc_id=1).pack())]
    kpi.mbuf_allocpacket(0, 5, None, packet)
    answers += [
        kpi.ctl_enqueuembuf(ref.value, 1, packet.value, c.CTL_DATA_EOR),
        calls.recvmsg(pid, fd, 100),
    ]
    pool = mac.system.domain.pool
    pool.set_limit(len(pool.live))
    answers += [calls.sendto(pid, fd, b"x"), mac.statistics()]
    return answers


def test_the_answers_do_not_depend_on_the_trace() -> None:
    silent = Kernel(trace=False)
    answers = story(silent)
    assert answers == story(Kernel())
    assert len(silent.trace) == 0
    assert answers[-2] == (ENOBUFS, 0)
    assert answers[-3] == (0, (bytes(5), c.MSG_EOR))
