"""Adding up the trace's changes gives the kernel's own snapshot, after every single entry."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.kernel import system as system_module
from kextlab.kernel.snapshot import snapshot
from kextlab.kernel.system import System
from kextlab.scenario.recording import Scenario
from kextlab.scenario.replay import replay
from kextlab.trace.codes import Entry
from kextlab.trace.fold import Folder, State
from kextlab.trace.log import Trace
from kextlab.userland.mach import Message
from kextlab.userland.mach_error import MachError
from kextlab.userland.process import App
from tests.recordings import corpus

GENERATED = 60
"""Generated scenarios checked for each release; replaying with a check at every entry is slow."""


class CheckedTrace(Trace):
    """A trace that compares its fold with the kernel's snapshot at every entry.

    Attributes:
        kind: compare only objects whose names begin so.
    """

    __slots__ = ("checked", "folder", "system")
    kind = ""

    def __init__(self, recording: bool = True) -> None:
        super().__init__(recording)
        self.folder = Folder()
        self.system: System | None = None
        self.checked = 0
        append = self.record
        assert append is not None

        def check(entry: Entry) -> None:
            append(entry)
            self.folder.step(entry)
            if self.system is not None:
                assert self.of(self.folder.state) == self.of(snapshot(self.system)), entry
                self.checked += 1

        self.record = check

    def of(self, state: State) -> State:
        """The part of a state that is compared."""
        return {name: state[name] for name in state if name.startswith(self.kind)}


class CheckedSystem(System):
    """A system whose trace is checked from the end of its boot on."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # System's own arguments
        assert isinstance(self.trace, CheckedTrace)
        assert self.trace.folder.state == snapshot(self)
        self.trace.system = self


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_module, "Trace", CheckedTrace)
    monkeypatch.setattr("kextlab.kernel.kernel.System", CheckedSystem)


def scenarios(release: str) -> list[Scenario]:
    """All hand-written scenarios of a release and some generated ones."""
    recording = corpus(release)
    written = [scenario for scenario in recording.scenarios if scenario.topic is not None]
    generated = [scenario for scenario in recording.scenarios if scenario.topic is None]
    return written + generated[:: len(generated) // GENERATED]


@pytest.mark.parametrize("release", ["xnu-11417.101.15", "xnu-7195.141.2"])
def test_the_fold_of_the_trace_is_the_snapshot_after_every_entry(release: str) -> None:
    for scenario in scenarios(release):
        assert replay(scenario, release).difference is None


def test_memory_in_transit_adds_up_after_every_entry() -> None:
    mac = Kernel()
    assert isinstance(mac.trace, CheckedTrace)
    app = mac.spawn("app")
    m = app.mach
    port = m.mach_port_allocate(m.MACH_PORT_RIGHT_RECEIVE)
    m.mach_port_insert_right(port, port, m.MACH_MSG_TYPE_MAKE_SEND)
    bits = m.MACH_MSG_TYPE_COPY_SEND | m.MACH_MSGH_BITS_COMPLEX
    for qlimit in (5, 0):
        m.mach_port_set_attributes(port, qlimit)
        for deallocate in (False, True):
            for copy in (m.MACH_MSG_PHYSICAL_COPY, m.MACH_MSG_VIRTUAL_COPY):
                address = m.mach_vm_allocate(0x20000)
                m.store(address, b"x" * 0x20000)
                m.store_names(address, [port, port])
                carried = [
                    m.OolPortsDescriptor(address, 2, m.MACH_MSG_TYPE_COPY_SEND, deallocate, copy),
                    m.OolDescriptor(address + 0x4001, 0xFFFF, deallocate, copy),
                    m.OolDescriptor(address + 0x18000, 9, deallocate, copy),
                ]
                message = Message(bits, port, descriptors=carried)
                try:
                    m.mach_msg(message, m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT)
                    m.mach_msg_destroy(m.mach_msg(None, m.MACH_RCV_MSG, 4096, port))
                except MachError as error:
                    m.mach_msg_destroy(error.message)
    m.mach_port_set_attributes(port, 5)
    assert mac.trace.checked > 300


PATH = "/usr/libexec/thing"
JOB = {
    "Label": "thing",
    "ProgramArguments": [PATH, "-v"],
    "MachServices": {"org.kextlab.thing": True},
    "Sockets": {"Listener": [{"SockPathName": f"/var/run/{name}"} for name in ("one", "two")]},
    "ThrottleInterval": 2,
}
OTHER = {"Label": "other", "Program": PATH, "KeepAlive": {"SuccessfulExit": False}}


def thing(app: App, *_: str) -> None:
    """Serves one client or hears one message, and ends in one of three ways."""
    if app.pid % 3 == 0:
        raise RuntimeError("it hurts")
    with suppress(OSError):
        app.launch.launch_activate_socket("Listener")
    app.time.sleep(0.5)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    asked=st.lists(
        st.sampled_from(["load", "other", "unload", "start", "kill", "connect", "run", "reboot"]),
        max_size=16,
    )
)
def test_jobs_add_up_after_every_entry(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CheckedTrace, "kind", "job:")
    mac = Kernel()
    for what in ["load", "connect", *asked, "run"]:
        launchd = mac.launchd
        job = launchd.jobs.get("thing")
        if what == "load" and job is None:
            launchd.load(JOB, {PATH: thing})
        elif what == "other" and "other" not in launchd.jobs:
            launchd.load(OTHER, {PATH: thing})
        elif what == "unload" and launchd.jobs:
            launchd.unload(next(iter(launchd.jobs)))
        elif what == "start" and job is not None:
            launchd.start("thing")
        elif what == "kill" and job is not None and job.app is not None and not job.app.exited:
            job.app.kill()
        elif what == "connect":
            with suppress(OSError):
                mac.spawn("client", 0).socket.socket(1).connect("/var/run/one")
        elif what == "run":
            mac.run(until=mac.now + 1.5)
        elif what == "reboot":
            mac.reboot()
        assert mac.trace.state() == mac.snapshot()
        numbers = [name for name in mac.snapshot() if name.startswith("job:")]
        assert numbers == [one.trace_name for one in mac.launchd.jobs.values()]
    assert isinstance(mac.trace, CheckedTrace)
    assert mac.trace.checked
