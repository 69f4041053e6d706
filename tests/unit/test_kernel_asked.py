"""What a machine was asked from outside, kept beside its trace."""

import pytest

from kextlab import Kernel
from kextlab.kexts import EchoKext, Kext, KextError
from kextlab.userland.process import App


def asked(mac: Kernel) -> list[tuple[str, tuple[object, ...]]]:
    return [(item.what, item.args) for item in mac.asked]


async def nothing(app: App) -> None:
    """A program that does nothing."""


def test_everything_asked_is_kept_in_order_with_its_steps() -> None:
    mac = Kernel()
    echo = mac.load(EchoKext)
    app = mac.spawn("client", uid=3)
    app.run(nothing, name="n")
    mac.step()
    mac.run(until=0.5)
    app.time.sleep(0.25)
    app.exit()
    mac.unload(echo)
    assert asked(mac) == [
        ("load", (EchoKext,)),
        ("spawn", ("client", 3)),
        ("start", (100, nothing, (), "n")),
        ("step", ()),
        ("run", (0.5,)),
        ("sleep", ((), "nanosleep", 750_000_000)),
        ("exit", (100,)),
        ("unload", ("org.kextlab.echo",)),
    ]
    ends = [(item.step, item.end) for item in mac.asked]
    assert all(start <= end for start, end in ends)
    assert ends[0][0] < ends[0][1] <= ends[1][0] < ends[1][1]
    assert ends[-1][1] == len(mac.trace)


def test_what_a_program_asks_is_part_of_the_program() -> None:
    mac = Kernel()

    async def launcher(app: App) -> None:
        mac.spawn("second")
        app.time.sleep(0.1)

    mac.spawn("first").run(launcher)
    mac.run()
    assert [what for what, _ in asked(mac)] == ["spawn", "start", "run"]


def test_a_kill_is_one_thing_asked() -> None:
    mac = Kernel()
    app = mac.spawn("client")
    app.kill()
    assert [what for what, _ in asked(mac)] == ["spawn", "kill"]


def test_what_was_refused_is_kept_if_it_reached_the_machine() -> None:
    class Refuses(Kext):
        def start(self) -> int:
            return 22

    mac = Kernel()
    with pytest.raises(KextError):
        mac.load(Refuses)
    with pytest.raises(TypeError):
        mac.load(3)  # type: ignore[arg-type]
    assert asked(mac) == [("load", (Refuses,))]


def test_a_boot_begins_with_nothing_asked() -> None:
    mac = Kernel()
    mac.spawn("client")
    mac.reboot()
    assert mac.asked == []


def test_without_a_trace_nothing_is_kept() -> None:
    mac = Kernel(trace=False)
    mac.spawn("client")
    assert mac.asked == []
