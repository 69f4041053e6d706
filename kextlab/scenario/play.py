"""Playing a scenario: the calls of task 0 one by one, faults when their step has come.

The player is what stands outside the machine: it makes the calls, follows the recorded choices
and applies faults at the first moment at or after their step when the kernel lets go. It reads the
length of the trace; the kernel reads nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from kextlab.iokit import IODataQueue, IOService
from kextlab.iokit.memory import MemoryFault
from kextlab.iokit.server import DriverError
from kextlab.kernel.kext import KextError
from kextlab.osfmk.vm_fault import VmFault
from kextlab.scenario.calls import (
    AddDriver,
    Call,
    Enqueue,
    Exit,
    Inject,
    Kill,
    KpiCall,
    Load,
    LoadJob,
    Recorded,
    RunTasks,
    Sleep0,
    Spawn,
    Start,
    StartJob,
    StepTask,
    Syscall,
    Terminate,
    Touch,
    Unload,
    UnloadJob,
    do_kpi,
)
from kextlab.scenario.fault import Armed, Fault, app_of, kext_named
from kextlab.scenario.gates import call_of
from kextlab.scenario.operations import Answer, Machine
from kextlab.scenario.values import ScenarioError
from kextlab.sched.chooser import Choice, Chooser, Fifo, Seeded
from kextlab.sched.stop import SimStop, Sleep
from kextlab.trace.log import Trace
from kextlab.userland.launchd import LaunchdError
from kextlab.userland.launchd_plist import job_of
from kextlab.userland.mac import Kernel

if TYPE_CHECKING:
    from kextlab.scenario.scenario import Scenario

REFUSED: Final = (VmFault, MemoryFault, DriverError, LaunchdError)
"""What a call from outside answers that is no system call."""


class Followed:
    """Chooses as recorded, as long as what is asked is what was asked then; from the first
    question that is another one on as ``then`` does.

    Attributes:
        missed: the number of that question, ``None`` while all fit.
        steps: the step at which each choice was made.
    """

    def __init__(self, choices: Iterable[Choice], then: Chooser) -> None:
        self._choices = list(choices)
        self._then = then
        self._let_go = max((i for i, c in enumerate(self._choices) if c[0] == "let_go"), default=-1)
        self.missed: int | None = None
        self.trace = Trace(recording=False)
        self.steps: list[int] = []

    @property
    def at_let_go(self) -> bool:
        """Whether it is asked where a task only lets go for a moment."""
        if self.missed is None and len(self.steps) < len(self._choices):
            return len(self.steps) <= self._let_go
        return bool(getattr(self._then, "at_let_go", True))

    def choose(self, kind: str, options: Sequence[str]) -> int:
        """The index of one of the options."""
        at = len(self.steps)
        self.steps.append(len(self.trace))
        if self.missed is None and at < len(self._choices):
            then, among, index = self._choices[at]
            if then == kind and among == tuple(options):
                return index
            self.missed = at
        return self._then.choose(kind, options)


class Player:
    """One play of a scenario.

    Attributes:
        mac: the machine.
        starts: the step at which each call began.
        errors: what calls raised that were not answers of the kernel: (call, exception).
        answers: what the steps of a recording answered.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        then: Chooser = Fifo() if scenario.seed is None else Seeded(scenario.seed)
        self.chooser = Followed(scenario.choices, then)
        self.machine: Machine | None = None
        if any(isinstance(call, Recorded) for call in scenario.calls):
            self.machine = Machine(
                scenario.release, make=lambda release: Kernel(release, chooser=self.chooser)
            )
            assert isinstance(self.machine.mac, Kernel)
            self.mac = self.machine.mac
        else:
            self.mac = Kernel(scenario.release, chooser=self.chooser)
        self.trace = self.chooser.trace = self.mac.trace
        self.starts: list[int] = []
        self.errors: list[tuple[int, Exception]] = []
        self.answers: list[Answer] = []
        self._due = sorted(scenario.faults, key=lambda fault: fault.at or 0)
        self._armed: list[tuple[Fault, Armed]] = []
        self._busy = False
        self._refused: ScenarioError | None = None
        self.mac.system.tasks.watch = self.tend

    def play(self) -> None:
        """Make all calls.

        Raises:
            ScenarioError: a fault cannot apply at its step; the machine is thrown away.
        """
        try:
            self._play()
        except ScenarioError:
            self.mac.system.end()
            raise
        finally:
            self.mac.system.tasks.watch = None

    def _play(self) -> None:
        for at, call in enumerate(self.scenario.calls):
            self.tend()
            self.starts.append(len(self.trace))
            if isinstance(call, Syscall) and self._skipped(call):
                continue
            try:
                self._do(call)
            except (SimStop, KextError, ProcessLookupError, NotImplementedError, *REFUSED):
                pass  # it is in the trace, or nobody was there to make the call
            except Exception as error:
                self.errors.append((at, error))
            if self._refused is not None:
                raise self._refused
        self.tend()
        if self._refused is None and self._due:
            fault = self._due[0]
            self._refused = ScenarioError(
                f"{fault.kind} at step {fault.at}: the run ends at step {len(self.trace)}"
            )
        if self._refused is not None:
            raise self._refused

    # -- faults ----------------------------------------------------------------------------

    def tend(self) -> None:
        """Apply what is due, lift what is over, look after what lasts."""
        if self._busy or self._refused is not None or not (self._due or self._armed):
            return
        self._busy = True
        try:
            while self._due and (self._due[0].at or 0) <= len(self.trace):
                fault = self._due.pop(0)
                self._armed.append((fault, fault.inject(self.mac)))
            for fault, armed in tuple(self._armed):
                if fault.until is not None and fault.until <= len(self.trace):
                    self._armed.remove((fault, armed))
                    if armed.lift is not None:
                        armed.lift()
                elif armed.tend is not None and self.mac.panic is None:
                    armed.tend()
        except ScenarioError as error:
            self._refused = ScenarioError(f"{error} (at step {fault.at})")
            self._due.clear()
        except SimStop:
            pass  # the machine went down: it is in the trace
        finally:
            self._busy = False

    def _skipped(self, call: Syscall) -> bool:
        """Whether a fault leaves this call out; every one that counts calls is asked."""
        asked = [armed.skips(call.pid, call.name) for _, armed in self._armed if armed.skips]
        return any(asked)

    # -- calls -----------------------------------------------------------------------------

    def _do(self, call: Call) -> None:
        mac = self.mac
        match call:
            case Load(kext):
                mac.load(self.scenario.kexts[kext])
            case Unload(kext):
                loaded = kext_named(mac, kext)
                if loaded is not None:
                    mac.unload(loaded)
            case Spawn(name, uid):
                mac.spawn(name, uid)
            case Start(program, pid, args, name):
                app = app_of(mac, pid)
                if app is not None:
                    app.run(self.scenario.programs[program], *args, name=name)
            case RunTasks(until, to):
                if to is None:
                    mac.run(until)
                else:
                    while len(self.trace) < to and mac.step():
                        pass
            case StepTask():
                mac.step()
            case Sleep0(channels, wmesg, until):
                first, also = (channels[0], channels[1:]) if channels else ("", ())
                mac.system.tasks.block(Sleep(first, wmesg, deadline=until, also=also))
            case Exit(pid):
                app = app_of(mac, pid)
                if app is not None:
                    app.exit()
            case Kill(pid):
                app = app_of(mac, pid)
                if app is not None:
                    app.kill()
            case Syscall():
                self._syscall(call)
            case Touch():
                self._touch(call)
            case AddDriver(driver, name):
                mac.iokit.add_driver(self.scenario.kexts[driver], name)
            case Terminate(service):
                found = mac.iokit.kernel.objects.get(service)
                if isinstance(found, IOService):
                    mac.iokit.terminate(found)
            case Enqueue(number, data, size):
                queue = mac.iokit.kernel.objects.get(number)
                if isinstance(queue, IODataQueue):
                    queue.enqueue(data, size)
            case LoadJob(plist, program):
                code = self.scenario.programs[program]
                mac.launchd.load(plist, {job_of(plist).program: code}, override=True)
            case UnloadJob(label):
                mac.launchd.unload(label)
            case StartJob(label):
                mac.launchd.start(label)
            case KpiCall(kext, _, _):
                loaded = kext_named(mac, kext)
                if loaded is not None:
                    do_kpi(loaded.kpi, call)
            case Inject(fault):
                self._inject(fault)
            case Recorded(step):
                assert self.machine is not None
                try:
                    self.answers.append(self.machine.run(step))
                except NotImplementedError as missing:
                    self.answers.append({"not modelled": str(missing)})

    def _syscall(self, call: Syscall) -> None:
        """A system call, made so that the process's own table of descriptors knows of it."""
        app = app_of(self.mac, call.pid)
        args: tuple[Any, ...] = call.args
        if app is not None and call.name in ("close", "dup", "ioctl"):
            getattr(app.files, call.name)(*args)
            return
        errno, value = call_of(self.mac, call.name)(call.pid, *args)
        if app is not None and call.name == "socket" and not errno:
            app.files.opened(value)

    def _touch(self, call: Touch) -> None:
        """Memory is touched as the process did it; a window that is not there is not."""
        args: tuple[Any, ...] = call.args
        pid = call.pid
        if call.how in ("window", "peek"):
            try:
                window = self.mac.iokit.window(pid, args[0])
            except KeyError:
                return
            if call.how == "window":
                window.write(*args[1:])
            else:
                window.read(0, 0)
        else:
            vm = self.mac.vm_traps
            touches: dict[str, Callable[..., object]] = {
                "load": vm.read,
                "store": vm.write,
                "store_words": vm.write_in_words,
            }
            touches[call.how](pid, *args)

    def _inject(self, fault: Fault) -> None:
        """What was applied by hand is applied as it was then: it leaves no call out."""
        try:
            armed = fault.inject(self.mac)
        except ScenarioError as error:
            self._refused = error
        else:
            self._armed.append((fault, Armed(armed.lift, None, None)))
