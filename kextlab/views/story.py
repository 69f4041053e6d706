"""The story a class is shown: a record is lost because its reader is slow, and the branch in which
it is not.

Two clients of the echo kext send a record every 10 ms and read an echo every 10.1 ms. Then
``slow`` gets slow: it pauses 60 ms before each read, so its receive buffer fills until the kernel
refuses the next echo. In the branch, which starts two records before that, it pauses no more.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kextlab.abi.errno import ENOBUFS
from kextlab.kexts.echo import EchoKext
from kextlab.scenario import Program, Scenario, faults
from kextlab.views.patches import Json
from kextlab.views.player import player
from kextlab.views.scenes import scene_document

if TYPE_CHECKING:
    from kextlab.scenario import Run
    from kextlab.userland.process import App

TITLE = "a record is lost"
RECORD = 1500
"""Bytes of a record: five fit the 8,192 of the receive buffer, the sixth does not."""


RECORDS = 8
SLOW = faults.SlowReader("slow", delay=0.06, at=80)


async def client(app: App, start: float) -> int:
    """Connect after ``start`` s, then send and read; returns how many records were lost."""
    asyncio, socket = app.asyncio, app.socket
    await asyncio.sleep(start)
    s = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    s.connect("org.kextlab.echo")
    s.setblocking(False)
    loop = asyncio.get_running_loop()
    lost = 0

    async def reader() -> None:
        read = 0
        while read + lost < RECORDS:
            await asyncio.sleep(0.0101)
            await loop.sock_recv(s, 4096)
            read += 1

    reading = asyncio.create_task(reader())
    for number in range(RECORDS):
        try:
            await loop.sock_sendall(s, bytes([number]) * RECORD)
        except OSError as error:
            if error.errno != ENOBUFS:
                raise
            lost += 1
        await asyncio.sleep(0.01)
    await reading
    s.close()
    return lost


def lost_record() -> tuple[Run, Run]:
    """The run in which a record is lost, and its branch."""
    scenario = Scenario(
        kexts=[EchoKext],
        programs=[
            Program("quick", client, args=(0.0,)),
            Program("slow", client, args=(0.002,)),
        ],
        faults=[SLOW],
        title=TITLE,
    )
    run = scenario.run()
    moments = scene_document(run)["moments"]
    loss = next(at for at, moment in enumerate(moments) if moment["world"] == "loss")
    sends = [at for at in range(loss) if moments[at]["text"].startswith("slow calls send")]
    return run, run.branch(moments[sends[-3]]["step"], without=[SLOW])


def document() -> dict[str, Json]:
    """The scene document of the story, its branch in it."""
    run, branch = lost_record()
    title = "slow does not pause any more"
    doc, other = scene_document(run, title=TITLE), scene_document(branch, title=title)
    pairs = zip(doc["moments"], other["moments"], strict=False)
    fork = next(at for at, (one, two) in enumerate(pairs) if one["text"] != two["text"])
    doc["branches"] = [{"at": max(0, fork - 1), "title": title, "doc": other}]
    return doc


def write(path: Path, *, presenter: bool = False) -> None:
    """Write the player with this story, open at the loss. OSError: the file cannot be written."""
    doc = document()
    loss = next(moment["step"] for moment in doc["moments"] if moment["world"] == "loss")
    path.write_text(player(doc, presenter=presenter, at=loss), encoding="utf-8")
