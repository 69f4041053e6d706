"""What processes do with Mach, at random and the same for one seed: ports, messages, memory."""

from __future__ import annotations

import contextlib
import random

from kextlab import Kernel
from kextlab.osfmk.vm_fault import VmFault
from kextlab.sched.chooser import Seeded
from kextlab.userland.mach_error import MachError
from kextlab.userland.process import App

PAGE = 0x4000
RIGHTS = ("MAKE_SEND", "COPY_SEND", "MOVE_SEND", "MAKE_SEND_ONCE", "MOVE_SEND_ONCE", "MOVE_RECEIVE")


class Life:
    """A machine with a few processes that use Mach without plan."""

    def __init__(self, seed: int, processes: int = 3) -> None:
        self.chance = random.Random(seed)
        self.mac = Kernel(chooser=Seeded(seed))
        self.apps = [self.mac.spawn(f"app{at}", uid=at) for at in range(processes)]
        self.pages: dict[int, list[int]] = {app.pid: [] for app in self.apps}

    def names(self, app: App) -> list[int]:
        """Names the process has, and one it has not."""
        rights = [name.split(":") for name in self.mac.snapshot() if name.startswith("right:")]
        return [int(name, 16) for _, pid, name in rights if int(pid) == app.pid] + [0x7703]

    def name(self, app: App) -> int:
        """One of them."""
        return self.chance.choice(self.names(app))

    def page(self, app: App) -> int:
        """An address, mostly one that is mapped."""
        return self.chance.choice([*self.pages[app.pid], 0x1_0100_0000])

    def step(self) -> None:
        """One call, or one touch, of one process; what is refused is refused."""
        what = self.chance.choice(STEPS)
        app = self.chance.choice(self.apps)
        with contextlib.suppress(MachError, VmFault, NotImplementedError):
            getattr(self, what)(app)

    def run(self, steps: int) -> Kernel:
        """That many steps; the machine."""
        for _ in range(steps):
            self.step()
        return self.mac

    # -- ports -----------------------------------------------------------------------------

    def make(self, app: App) -> None:
        """A port with a send right, or a port set."""
        m = app.mach
        kind = self.chance.choice([m.MACH_PORT_RIGHT_RECEIVE] * 4 + [m.MACH_PORT_RIGHT_PORT_SET])
        name = m.mach_port_allocate(kind)
        if kind == m.MACH_PORT_RIGHT_RECEIVE and self.chance.random() < 0.7:
            m.mach_port_insert_right(name, name, m.MACH_MSG_TYPE_MAKE_SEND)

    def serve(self, app: App) -> None:
        """A service of the bootstrap."""
        name = f"org.kextlab.{self.chance.randint(1, 2)}"
        if self.chance.random() < 0.5:
            app.mach.bootstrap_check_in(name)
        else:
            app.mach.bootstrap_look_up(name)

    def send(self, app: App) -> None:
        """A message, with rights in it."""
        m = app.mach
        way = self.chance.choice(("COPY_SEND", "COPY_SEND", "MAKE_SEND", "MOVE_SEND_ONCE"))
        reply = self.chance.choice(((0, 0), (self.name(app), m.MACH_MSG_TYPE_MAKE_SEND_ONCE)))
        bits = m.MACH_MSGH_BITS(getattr(m, f"MACH_MSG_TYPE_{way}"), reply[1])
        carried = []
        for _ in range(self.chance.choice((0, 0, 1, 2))):
            right = getattr(m, f"MACH_MSG_TYPE_{self.chance.choice(RIGHTS)}")
            carried.append(m.PortDescriptor(self.name(app), right))
        if carried:
            bits |= m.MACH_MSGH_BITS_COMPLEX
        body = bytes(4 * self.chance.randint(0, 80))
        message = m.Message(bits, self.name(app), reply[0], self.chance.randint(1, 9), body)
        message.descriptors = carried
        m.mach_msg(message, m.MACH_SEND_MSG | m.MACH_SEND_TIMEOUT, timeout=0)

    def receive(self, app: App) -> None:
        """The next message, if there is one."""
        m = app.mach
        m.mach_msg(None, m.MACH_RCV_MSG | m.MACH_RCV_TIMEOUT, 4096, self.name(app), timeout=0)

    def drop(self, app: App) -> None:
        """A reference, a right, or all of a name."""
        m, name = app.mach, self.name(app)
        how = self.chance.randint(0, 3)
        if how == 0:
            m.mach_port_destroy(name)
        elif how == 1:
            m.mach_port_mod_refs(name, self.chance.choice((0, 1)), -1)
        else:
            m.mach_port_deallocate(name)

    def more(self, app: App) -> None:
        """References more, a member more or less, another limit."""
        m, name = app.mach, self.name(app)
        how = self.chance.randint(0, 3)
        if how == 0:
            m.mach_port_mod_refs(name, 0, self.chance.randint(1, 3))
        elif how == 1:
            m.mach_port_insert_member(name, self.name(app))
        elif how == 2:
            m.mach_port_extract_member(name, self.name(app))
        else:
            m.mach_port_set_attributes(name, self.chance.randint(1, 8))

    def leave(self, app: App) -> None:
        """A process ends, now and then; another comes."""
        if self.chance.random() < 0.2:
            self.apps.remove(app)
            app.exit()
            fresh = self.mac.spawn("fresh", uid=9)
            self.apps.append(fresh)
            self.pages[fresh.pid] = []

    # -- memory ----------------------------------------------------------------------------

    def allocate(self, app: App) -> None:
        """Some pages."""
        self.pages[app.pid].append(app.mach.mach_vm_allocate(PAGE * self.chance.randint(1, 3)))

    def entry(self, app: App) -> None:
        """A memory entry of a page."""
        m = app.mach
        more = self.chance.choice((0, 0, m.MAP_MEM_NAMED_REUSE, m.MAP_MEM_VM_COPY))
        m.mach_make_memory_entry_64(PAGE, self.page(app), 3 | more)

    def map(self, app: App) -> None:
        """A window on whatever a name stands for."""
        m = app.mach
        copy = self.chance.random() < 0.4
        none = m.VM_INHERIT_NONE
        name = self.name(app)
        at = m.mach_vm_map(0, PAGE, 0, m.VM_FLAGS_ANYWHERE, name, 0, copy, 3, 3, none)
        self.pages[app.pid].append(at)

    def store(self, app: App) -> None:
        """A few bytes, or many, at once or word by word."""
        at = self.page(app) + self.chance.choice((0, 5, 32, 5000, PAGE - 3))
        data = bytes([self.chance.randint(0, 255)]) * self.chance.choice((1, 5, 40, 3000))
        if self.chance.random() < 0.2:
            app.mach.store_words(at & ~7, data[:40])
        else:
            app.mach.store(at, data)

    def load(self, app: App) -> None:
        """A few bytes."""
        app.mach.load(self.page(app), 3)

    def change(self, app: App) -> None:
        """Another protection, or the pages go."""
        if self.chance.random() < 0.5:
            app.mach.mach_vm_protect(self.page(app), PAGE, False, self.chance.choice((1, 3)))
        else:
            app.mach.mach_vm_deallocate(self.page(app), PAGE)


STEPS = (
    *("make", "make", "serve", "send", "send", "send", "receive", "receive", "drop", "more"),
    *("leave", "allocate", "entry", "entry", "map", "map", "store", "store", "load", "change"),
)
