"""Question 7 of exercise 11: a root daemon that reads the kernel once, for everybody.

The answer's property list and daemon are loaded as a job; its clients ask, die, become somebody
else, and see the daemon killed.
"""

from __future__ import annotations

from collections.abc import Callable

from kextlab.abi import mach
from kextlab.abi.errno import EPERM
from kextlab.abi.mach_messages import MACH_MSGH_BITS
from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.course.questions.bench import App, Kernel
from kextlab.course.questions.pair import count, new_port, received
from kextlab.kexts.status import TABLE_SIZE, StatusKext
from kextlab.userland.broker import PATH, READ, REFRESH, SERVICE
from kextlab.userland.launchd_job import Job
from kextlab.userland.mach import Message
from kextlab.userland.mach_error import MachError

END = 40.0
"""By then (s) everybody is served, with as many throttled starts as there are deaths."""


class Served:
    """A Mac with the kext and the answer's job."""

    def __init__(self, answer: Answer) -> None:
        self.mac = Kernel()
        self.kext = self.mac.load(StatusKext)
        self.ask: Callable[[App, int], bytes] = answer["ask"]
        daemon = answer["daemon"]
        program = {PATH: lambda app: daemon(app, self.uid_of)}
        self.job: Job = self.mac.launchd.load(dict(answer["plist"]), program)
        self.said: list[object] = []

    def uid_of(self, pid: int) -> int:
        """The user a process is of now. ProcessLookupError: there is none of that pid."""
        process = self.mac.system.processes.get(pid)
        if process is None or process.exited:
            raise ProcessLookupError(f"no process {pid}")
        return process.uid

    def asks(self, app: App, question: int) -> None:
        """A client whose answer is noted: the table, or the error."""
        try:
            self.said.append(self.ask(app, question))
        except (MachError, OSError) as error:
            self.said.append(error)

    def clients(self, many: int) -> None:
        """So many clients ask."""
        for number in range(1, many + 1):
            self.mac.spawn(f"client {number}").run(self.asks, READ)

    def run(self, until: float = END) -> None:
        """Time goes by. What the daemon raised is raised here."""
        self.mac.run(until=until)
        if self.job.error is not None:
            raise self.job.error

    def started(self) -> bool:
        """Whether the daemon ever ran."""
        return self.job.runs > 0

    def tables(self) -> int:
        """How many clients have a table."""
        return sum(isinstance(one, bytes) and len(one) == TABLE_SIZE for one in self.said)

    def refused(self) -> str:
        """What a client heard that has no table."""
        wrong = [one for one in self.said if not (isinstance(one, bytes) and one)]
        if not wrong:
            return "a client waits for ever"
        one = wrong[0]
        if isinstance(one, MachError):
            return f"in ask, {one.call} answers {one.name}"
        told = (
            f"raises {type(one).__name__}" if isinstance(one, OSError) else f"returns {one!r:.40}"
        )
        return f"ask {told}"


def many_ask(answer: Answer, many: int) -> Miss | None:
    """Nobody asks for a while, and then many do."""
    served = Served(answer)
    served.run(until=1)
    if served.started():
        seen = "nobody has asked, and the daemon is started"
        return Miss("must-run-before", seen, "the first request starts it", served.mac)
    served.clients(many)
    served.run()
    due = f"{count(many, 'client')} have the table"
    if not served.started():
        seen = f"{served.refused()}; the daemon was never started"
        return Miss("daemon-makes-its-service", seen, due, served.mac)
    if served.tables() < many:
        seen = f"{served.tables()} of {many} clients have it: {served.refused()}"
        return Miss("silence-is-an-answer", seen, due, served.mac)
    if served.kext.reads != 1:
        seen = f"{many} clients ask, and the kext is read {served.kext.reads} times"
        return Miss("reads-for-each", seen, "once", served.mac)
    return None


def _many(answer: Answer, seed: int) -> Miss | None:
    return many_ask(answer, 3 + seed % 3)


def killed(answer: Answer, many: int, deaths: list[float]) -> Miss | None:
    """The daemon is killed at these times, each in s."""
    served = Served(answer)
    served.clients(many)
    for at in deaths:
        served.run(until=at)
        if served.job.app is not None:
            served.job.app.kill()
    served.run()
    if served.tables() < many:
        seen = f"the daemon is killed, and {served.refused()}"
        endless = len(served.said) < many
        belief = "any-right-tells" if endless else "notice-is-the-end"
        return Miss(belief, seen, f"{count(many, 'client')} have the table", served.mac)
    return None


def _killed(answer: Answer, seed: int) -> Miss | None:
    """It has the first request in work, or the second, or the third."""
    return killed(answer, 4, [0.05 + 0.1 * (seed % 3)])


def _refresh(served: Served, body: bytes, before: int, after: int) -> tuple[int, bool]:
    """A process of user ``before`` sends REFRESH, and then it is ``after``'s: the errno it is
    answered, -1 if it is none, and whether the kext was read again."""
    mac, reads = served.mac, served.kext.reads
    app = mac.spawn("client", uid=before)
    m = app.mach
    reply = new_port(m)
    bits = MACH_MSGH_BITS(mach.MACH_MSG_TYPE_COPY_SEND, mach.MACH_MSG_TYPE_MAKE_SEND_ONCE)
    to = m.bootstrap_look_up(SERVICE)
    m.mach_msg(Message(bits, to, reply, REFRESH, body), mach.MACH_SEND_MSG)
    if after != before:
        mac.system.set_uid(mac.system.processes[app.pid], after)
    served.run(until=mac.now + 1)
    got = received(m, reply)
    errno = -1 if got is None or len(got.body) < 4 else int.from_bytes(got.body[:4], "little")
    return errno, served.kext.reads > reads


def _who(answer: Answer, seed: int) -> Miss | None:
    """Somebody has asked already, so that the daemon runs. Then the wrong ones ask, and root."""
    served, user = Served(answer), 501 + seed % 9
    served.clients(1)
    served.run(until=1)
    for body, after, belief, what in (
        (b"", user, "launchd-looks-who-asks", f"user {user} asks for a REFRESH"),
        (bytes(4), user, "body-is-true", f"user {user} asks, and its body says 0"),
        (b"", 0, "pid-is-the-sender", f"user {user} asks, and its process is root's now"),
    ):
        errno, again = _refresh(served, body, user, after)
        if errno == 0 or again:
            read = "the kext is read again" if again else "it is answered 0"
            return Miss(belief, f"{what}: {read}", "EPERM", served.mac)
        if errno != EPERM:
            heard = f"it is answered {errno}" if errno > 0 else "it is not answered"
            return Miss("silence-is-an-answer", f"{what}: {heard}", "EPERM", served.mac)
    for after in (0, user):
        errno, again = _refresh(served, b"", 0, after)
        what = f"root asks, and its process is user {user}'s now" if after else "root asks"
        if errno != 0:
            seen = f"{what}: it is answered {errno}"
            return Miss("pid-is-the-sender", seen, "0", served.mac)
        if not again:
            seen = f"{what}: it gets the old table"
            return Miss("table-stays-true", seen, "a new one", served.mac)
    return None


BROKER = Question(
    "q11_7",
    "find and mend: one daemon for everybody",
    ("plist", "daemon", "ask"),
    (
        Check("the first request starts the daemon, and the kext is read once for all", _many),
        Check("a daemon that is killed loses no request", _killed),
        Check("only who was root when it asked has the kext read again", _who),
    ),
    hidden=1,
)
