"""A broker: one root daemon that talks to the kext, and clients that talk to the daemon.

The daemon is a job of launchd, started by the first message. It reads the kernel once and answers
everybody from what it read. Clients need no privilege, and who they are the daemon sees in the
audit token the kernel puts behind every message; nothing in the message itself is believed.

When the daemon dies, no request is lost. Those it had not received stay in the queue, which goes
back to launchd. The one in work dies with its reply right, a send-once right: its port is told
(MACH_NOTIFY_SEND_ONCE), and the client repeats. It may then have been done twice, so requests must
be such that this does no harm.

    mac.load(StatusKext)
    mac.launchd.load(broker.PLIST, {broker.PATH: broker.Broker()})
    task = mac.spawn("client").run(broker.ask)

The same broker over a local socket is ``broker_socket``.

Read beside it: ``launchd.plist(5)``, ``osfmk/mach/notify.h``, ``mach_msg_destroy`` in
``libsyscall/mach/mach_msg.c``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kextlab.abi.errno import EINVAL, EPERM
from kextlab.abi.mach_messages import MACH_MSGH_BITS, MACH_MSGH_BITS_REMOTE
from kextlab.userland.mach import Message
from kextlab.userland.process import App

SERVICE: Final = "org.kextlab.broker"
PATH: Final = "/Library/PrivilegedHelperTools/org.kextlab.broker"
PLIST: Final = {
    "Label": SERVICE,
    "ProgramArguments": [PATH],
    "MachServices": {SERVICE: True},
    "ThrottleInterval": 1,
}
CONTROL: Final = "org.kextlab.status"

READ: Final = 1
"""What the kernel said."""
REFRESH: Final = 2
"""Ask the kernel again; root only."""
REPLY: Final = 100
"""An answer's id is the question's and 100, as MIG has it. Its body: an errno, 4 bytes; data."""
SIZE: Final = 8192


def direct(app: App, times: int = 1) -> bytes:
    """A client without a broker: it asks the kext itself, so many times; what it read last."""
    socket = app.socket
    with socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL) as s:
        s.connect(CONTROL)
        table = b""
        for _ in range(times):
            s.send(b"read")
            table = s.recv(SIZE)
    return table


def ask(app: App, question: int = READ, times: int = 1, service: str = SERVICE) -> bytes:
    """A client of the broker: what it answers, to the last of so many questions. Asks again when
    the broker died over the question.

    Raises:
        OSError: the broker refused: EPERM, EINVAL.
        MachError: there is no such service any more.
    """
    m = app.mach
    to = m.bootstrap_look_up(service)
    reply = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    bits = MACH_MSGH_BITS(m.MACH_MSG_TYPE_COPY_SEND, m.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    asked = Message(bits, to, reply, question)
    table = b""
    try:
        while times:
            got = m.mach_msg(asked, m.MACH_SEND_MSG | m.MACH_RCV_MSG, SIZE, reply)
            if got.msgh_id == m.MACH_NOTIFY_SEND_ONCE:
                continue
            errno = int.from_bytes(got.body[:4], "little")
            if errno:
                raise OSError(errno, f"the broker refused question {question}")
            table, times = got.body[4:], times - 1
    finally:
        m.mach_port_mod_refs(reply, m.MACH_PORT_RIGHT_RECEIVE, -1)
        m.mach_port_deallocate(to)
    return table


class Cache:
    """What the daemon knows, however it is asked: what it read from the kernel, once.

    Args:
        app: the daemon's process.
        keep: told of every table, and whether it is the first.
        questions: what is answered.
    """

    def __init__(
        self,
        app: App,
        keep: Callable[[App, bytes, bool], None] | None = None,
        questions: tuple[int, ...] = (READ, REFRESH),
    ) -> None:
        self._app = app
        self._keep = keep
        self._questions = questions
        self._read(first=True)

    def _read(self, first: bool) -> None:
        self._table = direct(self._app)
        if self._keep is not None:
            self._keep(self._app, self._table, first)

    def answer(self, question: int, root: bool) -> tuple[int, bytes]:
        """(errno, table). EINVAL (no such question), EPERM (REFRESH, and the client is not
        ``root``)."""
        if question not in self._questions:
            return EINVAL, b""
        if question == REFRESH:
            if not root:
                return EPERM, b""
            self._read(first=False)
        return 0, self._table


class Broker:
    """The daemon's program.

    Args:
        work: how long it has a request in work, in s.
    """

    service = SERVICE
    questions: tuple[int, ...] = (READ, REFRESH)

    def __init__(self, work: float = 0) -> None:
        self.work = work

    def keep(self, app: App, table: bytes, first: bool) -> None:
        """There is a new table: ``first`` of this process."""

    def __call__(self, app: App) -> None:
        m = app.mach
        port = m.bootstrap_check_in(self.service)
        cache = Cache(app, self.keep, self.questions)
        answer: Message | None = None
        hear = m.MACH_RCV_MSG | m.MACH_RCV_TRAILER_AUDIT
        while True:
            send = m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT if answer is not None else 0
            try:  # answer one, and hear the next, in one call; nobody may keep us waiting
                got = m.mach_msg(answer, hear | send, SIZE, port)
            except m.MachError as error:
                if error.name == "MACH_RCV_TOO_LARGE":
                    answer = None
                elif error.name in ("MACH_SEND_TIMED_OUT", "MACH_SEND_INVALID_DEST"):
                    m.mach_msg_destroy(error.message)
                    answer = None
                else:
                    raise
                continue
            if self.work:
                app.time.sleep(self.work)
            root = got.audit_token is not None and got.audit_token[1] == 0
            answer = self.answer(m, got, *cache.answer(got.msgh_id, root))

    def answer(self, m: Any, got: Message, errno: int, table: bytes) -> Message | None:
        """The answer to a message, ``None`` if it wants none. The reply right moves back."""
        to, kind = got.msgh_remote_port, MACH_MSGH_BITS_REMOTE(got.msgh_bits)
        got.msgh_remote_port = m.MACH_PORT_NULL
        m.mach_msg_destroy(got)
        if to in (m.MACH_PORT_NULL, m.MACH_PORT_DEAD):
            return None
        body = errno.to_bytes(4, "little") + table
        return Message(MACH_MSGH_BITS(kind, 0), to, 0, got.msgh_id + REPLY, body)
