"""SMJobBless: an application installs a privileged helper, if each names the other.

The application's Info.plist holds, in SMPrivilegedExecutables, a code-signing requirement the
helper must meet; the helper's Info.plist, in SMAuthorizedClients, requirements of which the
application must meet one. That is asked once, at the installation: who talks to the helper later is
not checked by it, so a helper must look at the audit token of every message.

Deprecated since macOS 13, where ``SMAppService`` replaces it. Read beside it:
``ServiceManagement/ServiceManagement.h``, ``SMErrors.h``. Documented only.

Left out: certificates themselves, the copy of the file, versions (a blessed job replaces the one
before), requirements other than ``identifier``, ``anchor apple generic`` and the leaf's OU.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kextlab.userland.launchd import Launchd
from kextlab.userland.launchd_job import Job, Program
from kextlab.userland.launchd_plist import PropertyList, checked, job_of, read

TOOLS: Final = "/Library/PrivilegedHelperTools"
REPLACED: Final = "SMJobBless is deprecated since macOS 13; SMAppService replaces it"

kSMErrorInvalidSignature: Final = 3
kSMErrorAuthorizationFailure: Final = 4
kSMErrorToolNotValid: Final = 5
kSMErrorInvalidPlist: Final = 10
NAMES: Final = {
    value: name for name, value in list(globals().items()) if name.startswith("kSMError")
}

_TOKEN: Final = re.compile(r'\s*(?:/\*.*?\*/\s*)*("[^"]*"|[\w.\-]+|\S)', re.DOTALL)
_LEAF: Final = ["certificate", "leaf", "[", "subject.OU", "]", "="]
_ANCHOR: Final = ["anchor", "apple", "generic"]


class SMError(Exception):
    """SMJobBless refused.

    Attributes:
        code: the error in kSMErrorDomainFramework.
        name: its name, ``"kSMErrorInvalidSignature"``.
    """

    def __init__(self, code: int, why: str) -> None:
        self.code, self.name = code, NAMES[code]
        super().__init__(f"{self.name} ({code}): {why}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.code, self.args[0].partition(": ")[2])


@dataclass(frozen=True)
class Signature:
    """What a code signature says: identifier, team (the leaf certificate's subject.OU), and whether
    the chain ends at Apple."""

    identifier: str
    team: str = ""
    apple: bool = True


def unmet(signature: Signature, requirement: str) -> str:
    """The clause of a requirement that a signature does not meet; ``""``: it meets all.

    Raises:
        NotImplementedError: a clause that is not modelled.
    """
    tokens = [token.strip('"') for token in _TOKEN.findall(requirement)]
    while tokens:
        if tokens[0] == "identifier" and len(tokens) > 1:
            size, met = 2, tokens[1] == signature.identifier
        elif tokens[:3] == _ANCHOR:
            size, met = 3, signature.apple
        elif tokens[:6] == _LEAF and len(tokens) > 6:
            size, met = 7, tokens[6] == signature.team
        else:
            break
        if not met:
            return " ".join(tokens[:size])
        tokens = tokens[size:]
        if not tokens:
            return ""
        if tokens[0] != "and":
            break
        tokens = tokens[1:]
    rest = " ".join(tokens) or "its end"
    raise NotImplementedError(
        f"the requirement {requirement!r} is not modelled at {rest!r}; clauses joined by and "
        'are: identifier "x", anchor apple generic, the OU of the leaf certificate'
    )


def bless(
    launchd: Launchd,
    label: str,
    app: tuple[PropertyList, Signature],
    helper: tuple[PropertyList, Signature],
    job: PropertyList,
    program: Program,
    *,
    authorized: bool = True,
) -> Job:
    """Install a helper and load its job.

    Args:
        launchd: ``mac.launchd``.
        label: the helper's label, a key of SMPrivilegedExecutables.
        app: the application's Info.plist and signature.
        helper: the helper's Info.plist and signature.
        job: the helper's launchd property list; its program becomes the installed one.
        program: what the helper runs.
        authorized: whether the user gave kSMRightBlessPrivilegedHelper.

    Raises:
        SMError: one does not meet what the other requires, or a property list lacks something.
        ValueError: a property list has a value of a wrong type.
        NotImplementedError: a clause or key that is not modelled.
    """
    warnings.warn(REPLACED, DeprecationWarning, stacklevel=2)
    if not authorized:
        raise SMError(kSMErrorAuthorizationFailure, "the user did not authorize it")
    source, info = read(app[0])
    helpers = info.get("SMPrivilegedExecutables", {})
    checked(source, "SMPrivilegedExecutables", helpers, dict)
    if label not in helpers:
        raise SMError(kSMErrorInvalidPlist, f"{source}: SMPrivilegedExecutables lacks {label}")
    checked(source, f"SMPrivilegedExecutables[{label!r}]", helpers[label], str)
    if clause := unmet(helper[1], helpers[label]):
        raise SMError(
            kSMErrorToolNotValid,
            f"the helper ({helper[1].identifier}) does not meet the application's {clause!r}",
        )
    source, info = read(helper[0])
    clients: Sequence[object] = info.get("SMAuthorizedClients", [])
    checked(source, "SMAuthorizedClients", clients, list)
    why = f"{source}: SMAuthorizedClients names nobody"
    for number, client in enumerate(clients):
        checked(source, f"SMAuthorizedClients[{number}]", client, str)
        if not (clause := unmet(app[1], str(client))):
            break
        why = f"the application ({app[1].identifier}) does not meet the helper's {clause!r}"
    else:
        raise SMError(kSMErrorInvalidSignature, why)
    source, keys = read(job)
    if keys.get("Label") != label:
        raise SMError(
            kSMErrorInvalidPlist, f"{source}: Label is {keys.get('Label')!r}, not {label}"
        )
    path = f"{TOOLS}/{label}"
    keys.pop("ProgramArguments", None)
    keys["Program"] = path
    job_of(keys)  # what is wrong with it is told before the old job goes
    if label in launchd.jobs:
        launchd.unload(label)
    return launchd.load(keys, {path: program})
