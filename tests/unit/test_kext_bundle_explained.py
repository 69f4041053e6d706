"""``explain`` of a refused kext: the routine that says no, and what to do."""

from pathlib import Path

import pytest

from kextlab import Kernel, explain
from kextlab.abi import oskext
from kextlab.kernel.explain import causes_by_text
from kextlab.kernel.kext import KextRefusal
from kextlab.kexts.bundle import Bundle
from kextlab.kexts.mac_folder import MacFolder
from tests.unit.kext_bundles import bundle

RESULTS = [
    value
    for name, value in vars(oskext).items()
    if name.startswith("kOSKextReturn") and value != oskext.kOSKextReturnStartStopError
]


@pytest.mark.parametrize("result", RESULTS, ids=oskext.name_of_result)
def test_every_result_is_explained(result: int) -> None:
    explanation = explain(KextRefusal(result, "org.a", ["something"]))
    if result != oskext.kOSKextReturnDependencies:  # told by its reason
        assert explanation.causes
        assert len({cause.when for cause in explanation.causes}) == 1
    assert explanation.name == oskext.name_of_result(result)


def first(refusal: KextRefusal, call: str | None = None) -> str:
    return explain(refusal, call=call).causes[0].when


def test_the_reason_decides_which_cause_it_is(tmp_path: Path) -> None:
    mac = Kernel()
    made = {
        "is neither loaded": bundle(tmp_path, "a", libraries={"org.none": "1.0"}),
        "not in a version": bundle(tmp_path, "b", libraries={"com.apple.kpi.mach": "99.0"}),
        "were for\n32-bit": bundle(tmp_path, "c", libraries={"com.apple.kernel.mach": "6.0"}),
        "may not be linked": bundle(tmp_path, "d", libraries={"com.apple.kpi.private": "8.0"}),
        "in a circle": bundle(tmp_path, "e", libraries={"org.e": "1.0"}),
    }
    for said, one in made.items():
        with pytest.raises(KextRefusal) as caught:
            mac.load(one)
        assert said.replace("\n", " ") in first(caught.value)


def test_a_call_narrows_to_its_own(tmp_path: Path) -> None:
    with pytest.raises(KextRefusal) as caught:
        Bundle.read(tmp_path / "none.kext")
    assert {cause.call for cause in explain(caught.value).causes} == {"kextload", "kextunload"}
    with pytest.raises(KextRefusal) as caught:
        MacFolder(tmp_path).unload("org.none")
    (cause,) = explain(caught.value, call="kextunload").causes
    assert cause.call == "kextunload"
    assert explain(caught.value, call="connect").causes == ()


def test_the_text_says_what_to_do() -> None:
    refusal = KextRefusal(oskext.kOSKextReturnInUse, "org.a", ["org.b is linked against it"])
    text = str(explain(refusal))
    assert text.startswith("kOSKextReturnInUse: org.a: org.b is linked against it")
    assert "Unload those first" in text
    assert "Source: OSKext::unload, documented only" in text


def test_nothing_here_is_recorded() -> None:
    assert not any(cause.recorded for _, cause in causes_by_text()["bundle"])
