"""SMJobBless: two requirements against two signatures, and the job that comes of it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.userland.process import App
from kextlab.userland.smjobbless import TOOLS, Signature, SMError, bless, unmet

LABEL = "org.kextlab.helper"
APP = Signature("org.kextlab.app", "TEAM123456")
HELPER = Signature(LABEL, "TEAM123456")


def requirement(signature: Signature) -> str:
    return (
        f'identifier "{signature.identifier}" and anchor apple generic '
        f'and certificate leaf[subject.OU] = "{signature.team}"'
    )


APP_INFO = {"SMPrivilegedExecutables": {LABEL: requirement(HELPER)}}
HELPER_INFO = {"SMAuthorizedClients": [requirement(APP)]}
JOB = {"Label": LABEL, "MachServices": {LABEL: True}, "ProgramArguments": ["anything"]}


def helper(app: App) -> None:
    app.mach.bootstrap_check_in(LABEL)


def install(mac: Kernel, **change: Any) -> Any:
    given: dict[str, Any] = {
        "app": APP,
        "app_info": APP_INFO,
        "helper": HELPER,
        "helper_info": HELPER_INFO,
    }
    given |= {"job": JOB, "label": LABEL, "authorized": True} | change
    with pytest.deprecated_call(match="SMAppService replaces it"):
        return bless(
            mac.launchd,
            given["label"],
            (given["app_info"], given["app"]),
            (given["helper_info"], given["helper"]),
            given["job"],
            helper,
            authorized=given["authorized"],
        )


def test_a_helper_is_installed_and_replaced() -> None:
    mac = Kernel()
    job = install(mac)
    assert job.plist.program == f"/Library/PrivilegedHelperTools/{LABEL}"
    again = install(mac)
    assert again is not job
    mac.launchd.start(LABEL)
    mac.run()
    assert (again.runs, again.status, job.runs) == (1, 0, 0)


@pytest.mark.parametrize(
    ("change", "name", "text"),
    [
        ({"authorized": False}, "kSMErrorAuthorizationFailure", "did not authorize"),
        ({"label": "other"}, "kSMErrorInvalidPlist", "SMPrivilegedExecutables lacks other"),
        ({"app_info": {}}, "kSMErrorInvalidPlist", "lacks"),
        (
            {"helper": Signature("x", "TEAM123456")},
            "kSMErrorToolNotValid",
            f"the helper (x) does not meet the application's 'identifier {LABEL}'",
        ),
        (
            {"helper": Signature(LABEL, "EVIL")},
            "kSMErrorToolNotValid",
            "'certificate leaf [ subject.OU ] = TEAM123456'",
        ),
        (
            {"app": Signature("org.kextlab.app", "TEAM123456", apple=False)},
            "kSMErrorInvalidSignature",
            "does not meet the helper's 'anchor apple generic'",
        ),
        ({"helper_info": {}}, "kSMErrorInvalidSignature", "SMAuthorizedClients names nobody"),
        ({"job": {"Label": "x"}}, "kSMErrorInvalidPlist", f"Label is 'x', not {LABEL}"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], name: str, text: str) -> None:
    mac = Kernel()
    with pytest.raises(SMError) as caught:
        install(mac, **change)
    assert caught.value.name == name
    assert text in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert mac.launchd.list() == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"app_info": {"SMPrivilegedExecutables": []}}, "SMPrivilegedExecutables is [] (an array)"),
        ({"app_info": {"SMPrivilegedExecutables": {LABEL: 1}}}, f"[{LABEL!r}] is 1 (an integer)"),
        ({"helper_info": {"SMAuthorizedClients": "x"}}, "SMAuthorizedClients is 'x' (a string)"),
        ({"helper_info": {"SMAuthorizedClients": [2]}}, "SMAuthorizedClients[0] is 2 (an int"),
    ],
)
def test_a_wrong_type_is_told_in_a_line(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"^property list: ") as caught:
        install(Kernel(), **change)
    assert text in str(caught.value)


def test_a_job_that_cannot_be_loaded_leaves_the_one_before() -> None:
    mac = Kernel()
    job = install(mac)
    with pytest.raises(ValueError, match="RunAtLoad is 1"):
        install(mac, job=JOB | {"RunAtLoad": 1})
    assert mac.launchd.jobs == {LABEL: job}


def test_a_helper_is_there_again_when_the_machine_starts() -> None:
    mac = Kernel()
    install(mac)
    mac.reboot()
    assert list(mac.launchd.jobs) == [LABEL]
    assert mac.launchd.jobs[LABEL].plist.program == f"{TOOLS}/{LABEL}"
    mac.launchd.unload(LABEL)
    mac.reboot()
    assert mac.launchd.jobs == {}


def test_one_of_several_clients_is_enough() -> None:
    clients = ["identifier org.kextlab.older", requirement(APP)]
    install(Kernel(), helper_info={"SMAuthorizedClients": clients})


def test_requirements_are_read_as_codesign_writes_them() -> None:
    assert unmet(APP, "/* who */ identifier org.kextlab.app and anchor apple generic") == ""
    assert unmet(APP, "certificate leaf[subject.OU]=TEAM123456") == ""


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", "its end"),
        ("identifier", "identifier"),
        ("anchor apple", "anchor apple"),
        ('identifier "org.kextlab.app" and', "its end"),
        ('identifier "org.kextlab.app" or anchor apple generic', "or anchor apple generic"),
        ("certificate 1[field.1.2.840.113635.100.6.2.6] /* exists */", "certificate 1 [ field"),
    ],
)
def test_other_requirements_are_not_modelled(text: str, at: str) -> None:
    with pytest.raises(NotImplementedError, match="is not modelled at") as caught:
        unmet(APP, text)
    assert f"at '{at}" in str(caught.value)
