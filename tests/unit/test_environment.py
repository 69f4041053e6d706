"""environment.yml and pyproject.toml ask for the same things."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
EXTRAS = ("lab", "test", "bench")

Bounds = dict[str, str]


def read(line: str) -> tuple[str, str]:
    """A requirement as (name, bounds), whichever way it is spelled."""
    requirement = Requirement(line)
    return canonicalize_name(requirement.name), str(requirement.specifier)


def asked_by_pyproject(pyproject: dict[str, Any]) -> Bounds:
    project = pyproject["project"]
    lines = list(project["dependencies"])
    for extra in EXTRAS:
        lines += project["optional-dependencies"][extra]
    return dict(map(read, [*lines, f"python{project['requires-python']}"]))


def asked_by_environment(environment: dict[str, Any]) -> Bounds:
    def lines() -> Iterator[str]:
        for line in environment["dependencies"]:
            if isinstance(line, dict):
                yield from (entry for entry in line["pip"] if entry != "-e .")
            elif line != "pip":
                yield line

    return dict(map(read, lines()))


@pytest.fixture
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture
def environment() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text())
    return loaded


def test_both_files_ask_for_the_same_names_and_bounds(
    pyproject: dict[str, Any], environment: dict[str, Any]
) -> None:
    assert asked_by_environment(environment) == asked_by_pyproject(pyproject)


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_requirement_only_pyproject_has_is_noticed(
    pyproject: dict[str, Any], environment: dict[str, Any], extra: str
) -> None:
    pyproject["project"]["optional-dependencies"][extra].append("abacus>=1")
    assert asked_by_environment(environment) != asked_by_pyproject(pyproject)


def test_a_requirement_only_environment_has_is_noticed(
    pyproject: dict[str, Any], environment: dict[str, Any]
) -> None:
    environment["dependencies"].insert(1, "abacus>=1")
    assert asked_by_environment(environment) != asked_by_pyproject(pyproject)


def test_a_bound_that_differs_is_noticed(
    pyproject: dict[str, Any], environment: dict[str, Any]
) -> None:
    lines = environment["dependencies"]
    lines[lines.index("jupyterlab>=4.2")] = "jupyterlab>=4.1"
    assert asked_by_environment(environment) != asked_by_pyproject(pyproject)


def test_every_requirement_has_a_lower_bound(pyproject: dict[str, Any]) -> None:
    unbounded = [
        name for name, bounds in asked_by_pyproject(pyproject).items() if ">=" not in bounds
    ]
    assert unbounded == []


def test_the_environment_has_the_shape_conda_and_binder_expect(environment: dict[str, Any]) -> None:
    assert list(environment) == ["name", "channels", "dependencies"]
    assert environment["name"] == "kextlab"
    assert environment["channels"] == ["conda-forge"]
    assert "pip" in environment["dependencies"]
    assert environment["dependencies"][-1]["pip"][-1] == "-e ."
