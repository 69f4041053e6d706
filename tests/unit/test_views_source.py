"""What a view is made from: a trace or the machine, and one line about anything else."""

from collections.abc import Callable

import pytest

from kextlab import Kernel
from kextlab.kexts import EchoKext
from kextlab.views import log, queue_figure, units_picture

VIEWS: list[Callable[..., object]] = [log, queue_figure, units_picture]


def test_a_view_of_the_machine_is_that_of_its_trace() -> None:
    mac = Kernel()
    mac.load(EchoKext)
    assert log(mac).lines == log(mac.trace).lines
    assert units_picture(mac).svg == units_picture(mac.trace).svg


def test_a_machine_that_records_nothing_is_drawn_as_it_is() -> None:
    mac = Kernel(trace=False)
    mac.load(EchoKext)
    assert units_picture(mac).svg == units_picture(mac.snapshot()).svg


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("source", [None, "x", 7])
def test_anything_else_is_told_what_is_taken(view: Callable[..., object], source: object) -> None:
    said = rf"^{view.__name__}\(\) takes mac.trace or the mac itself, not {source!r}$"
    with pytest.raises(TypeError, match=said):
        view(source)
