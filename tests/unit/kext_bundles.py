"""Bundles for tests: small kexts written into a folder."""

from pathlib import Path
from typing import Any

from kextlab.kexts.bundle import Bundle, new_properties, write_bundle

PLAIN = "from kextlab.kexts import Kext\n\n\nclass Plain(Kext):\n    pass\n"
"""The executable of a kext that does nothing."""


def bundle(
    folder: Path,
    name: str,
    source: str = PLAIN,
    version: str = "1.0",
    libraries: dict[str, str] | None = None,
    **keys: Any,
) -> Bundle:
    """Write ``NAME.kext``, of identifier ``org.NAME``, compatible with itself from 1.0 on."""
    properties = new_properties(f"org.{name}", name, version)
    properties["OSBundleLibraries"] = {"com.apple.kpi.bsd": "8.0.0", **(libraries or {})}
    properties["OSBundleCompatibleVersion"] = "1.0"
    properties.update(keys)
    return write_bundle(folder / f"{name}.kext", properties, source)
