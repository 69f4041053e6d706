"""Machines whose processes talk over local sockets, for the views."""

from __future__ import annotations

from kextlab import Kernel
from kextlab.abi import constants as c
from kextlab.abi.un import sockaddr_un
from kextlab.kexts.status import StatusKext
from kextlab.userland import broker
from tests.unit.local_sockets import DGRAM, NAME, Local, rights
from tests.unit.scene_machines import echo
from tests.unit.test_launchd_sockets import JOB, PATH, Thing, ask


def talk(lab: Local) -> None:
    """A stream with bytes and a descriptor on its way, a connection that waits, datagrams."""
    listener = lab.listener(3)
    ours, theirs = lab.connected(listener)
    lab.do(lab.client, "sendto", ours, bytes(1500))
    lab.do(lab.client, "sendmsg", ours, [b"take this"], 0, None, rights(ours))
    lab.do(lab.server, "sendto", theirs, b"welcome")
    lab.do(lab.client, "recvfrom", ours, 100)
    waiting = lab.socket(lab.other)
    lab.do(lab.server, "chmod", b"/tmp/server", 0o777)
    lab.do(lab.other, "connect", waiting, NAME)
    lab.do(lab.other, "sendto", waiting, bytes(600))
    log = lab.bound(lab.root, sockaddr_un(b"/var/run/syslog"))
    lab.do(lab.root, "chmod", b"/var/run/syslog", 0o666)
    sender = lab.socket(lab.client, DGRAM)
    lab.do(lab.client, "connect", sender, sockaddr_un(b"/var/run/syslog"))
    lab.do(lab.client, "sendto", sender, bytes(900))
    lab.do(lab.client, "sendmsg", sender, [bytes(700)], 0, None, rights(ours, theirs and ours))
    lab.call(lab.client, "sendto", sender, bytes(2000))
    lab.call(lab.client, "sendto", sender, bytes(2000))
    assert log


def local() -> Kernel:
    """Only local sockets."""
    lab = Local()
    talk(lab)
    return lab.mac


def pair() -> Kernel:
    """A server with one client, and nothing else."""
    mac = Kernel()
    server, client = (mac.start_process(name, 501).pid for name in ("server", "client"))
    calls = mac.syscalls
    fd = calls.socket(server, c.AF_UNIX, c.SOCK_STREAM, 0)[1]
    calls.bind(server, fd, NAME)
    calls.listen(server, fd, 2)
    far = calls.socket(client, c.AF_UNIX, c.SOCK_STREAM, 0)[1]
    calls.connect(client, far, NAME)
    near, _ = calls.accept(server, fd)[1]
    calls.sendto(client, far, b"hello")
    calls.recvfrom(server, near, 100)
    calls.sendto(server, near, b"HELLO")
    calls.recvfrom(client, far, 100)
    return mac


def local_and_echo() -> Kernel:
    """Local sockets of a machine that has kernel controls too."""
    mac = echo()
    server, client = (mac.start_process(name, 501).pid for name in ("logd", "app"))
    calls = mac.syscalls
    fd = calls.socket(server, c.AF_UNIX, c.SOCK_DGRAM, 0)[1]
    calls.bind(server, fd, sockaddr_un(b"/var/run/log"))
    far = calls.socket(client, c.AF_UNIX, c.SOCK_DGRAM, 0)[1]
    calls.connect(client, far, sockaddr_un(b"/var/run/log"))
    calls.sendto(client, far, bytes(300))
    return mac


def jobs() -> Kernel:
    """launchd's jobs: one with a socket, which ends and is held back, and the broker."""
    mac = Kernel()
    mac.load(StatusKext)
    mac.launchd.load(JOB, {PATH: Thing().program()})
    mac.launchd.load(broker.PLIST, {broker.PATH: broker.Broker()})
    mac.spawn("client").run(broker.ask)
    mac.run()
    for word in (b"done", b"again"):
        ask(mac.spawn("client"), word)
        mac.run()
    return mac


def many_jobs() -> Kernel:
    """More jobs than have room; every third runs."""
    mac = Kernel()
    for n in range(9):
        keys = {"Label": f"org.example.job{n}", "Program": "/bin/job", "RunAtLoad": n % 3 == 0}
        services = {"MachServices": {f"org.example.service{n}": True}}
        mac.launchd.load(keys | services, {"/bin/job": lambda app: app.time.sleep(3)})
    mac.run(until=1)
    return mac
