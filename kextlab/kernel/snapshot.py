"""The kernel's own account of its state, as plain values.

Adding up the trace's changes gives the same (a property test), so a view may use either. Left out
are words that are only set while a routine runs: buffer locks and use counts.
"""

from __future__ import annotations

from kextlab.bsd.kctl import CtlCb
from kextlab.bsd.kern_event import EventPcb
from kextlab.bsd.mbuf import mbuf_state_of
from kextlab.bsd.sockbuf import state_of as buffer_state_of
from kextlab.bsd.socketvar import queue_state_of
from kextlab.bsd.socketvar import state_of as socket_state_of
from kextlab.bsd.uipc_usrreq import Unpcb
from kextlab.kernel.system import System
from kextlab.trace.fold import State


def snapshot(system: System) -> State:
    """Object name to its fields; the names are those of the trace."""
    domain = system.domain
    panic = system.panic.text if system.panic is not None else None
    state: State = {
        "kernel": {
            "release": system.release.name,
            "panic": panic,
            "clock": system.tasks.clock.now,
        },
        "kern_event": domain.events.state(),
        "kevtstat": dict(domain.events.stat),
        "kern_control": domain.control.state(),
        "kctlstat": dict(domain.control.stat),
    }
    if domain.pool.limit is not None:
        state["mbuf_pool"] = {"limit": domain.pool.limit}
    for process in system.processes.values():
        state[f"proc:{process.pid}"] = process.state()
        for fd, file in process.descriptors.files.items():
            state[f"fd:{process.pid}:{fd}"] = {"socket": file.so.number}
        if process.space is not None:
            state |= process.space.state()
    state |= system.ipc.state()
    state |= system.memory_state()
    for task in (system.tasks.outside, *system.tasks.tasks.values()):
        if task.number in system.tasks.shown:
            state[f"task:{task.number}"] = task.as_plain()
    state |= {name: job.as_plain() for name, job in system.jobs.items()}
    for text in system.texts.values():
        if text.mapped:
            state[text.owner] = {"mapped": True}
    for kctl in domain.control.controls:
        state[f"kctl:{kctl.serial}"] = kctl.state()
    for number, so in domain.sockets.live.items():
        state[f"socket:{number}"] = socket_state_of(so)
        state[so.so_rcv.name] = buffer_state_of(so.so_rcv)
        state[so.so_snd.name] = buffer_state_of(so.so_snd)
        if isinstance(so.so_pcb, CtlCb):
            state[f"kcb:{number}"] = so.so_pcb.state()
        elif isinstance(so.so_pcb, EventPcb):
            state[f"ev_pcb:{number}"] = so.so_pcb.state()
        elif isinstance(so.so_pcb, Unpcb):
            state[f"unp:{number}"] = so.so_pcb.state()
        if so.so_qlimit:
            state[f"so_comp:{number}"] = queue_state_of(so)
    for number, node in domain.sockets.names.nodes.items():
        state[f"vnode:{number}"] = node.state()
    for ident, m in domain.pool.live.items():
        state[f"mbuf:{ident}"] = mbuf_state_of(m)
    if "iokit" in system.__dict__:  # made when it is first used
        state.update(system.iokit.state())
    return state
