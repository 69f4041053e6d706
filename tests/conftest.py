"""Thousands of tests are collected and stay to the end: Python's collector of cycles need not look
at them again and again. Frozen, they cost nothing; before, it took most of the time of a run.
"""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without looking for cycles, then leave what is there out of account."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
