"""The front end of Scope: native ES modules and style sheets, bundled without a build step.

``bundle()`` is one ES module: each file becomes a function that returns what it exports, in the
order in which files need each other. It serves anywidget (its default export) and the standalone
page, which appends its own lines to it: ``mount(root, doc, host)`` and ``unpack(data)`` are then in
scope. The style sheets travel inside, because Scope draws in a shadow root: no rule of a page
reaches in and none leaks out. ``css()`` is what a page of its own needs around it.

Left out: source maps, minifying, import forms other than ``import {a, b} from "./file.js";``.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Final

from kextlab.views.tokens import MONO, SANS, TOKENS

SHEETS: Final = ("base", "parts", "scene", "rows", "inspector", "small")
"""The style sheets in the order in which they apply."""

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([a-z]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const) (\w+))", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _themes(scope: str) -> str:
    light = ";".join(f"--{name}:{pair[0]}" for name, pair in TOKENS.items())
    dark = ";".join(f"--{name}:{pair[1]}" for name, pair in TOKENS.items())
    return (
        f"{scope}{{color-scheme:light;{light}}}\n"
        f"{scope}[data-dark]{{color-scheme:dark;{dark}}}\n"
        f"{scope}{{--sans:{SANS};--mono:{MONO}}}\n"
    )


@cache
def sheet() -> str:
    """The style sheet inside the shadow root: the tokens, a class a token, the rules."""
    classes = "".join(
        f".f-{name}{{fill:var(--{name})}}.k-{name}{{stroke:var(--{name})}}" for name in TOKENS
    )
    return "\n".join([_themes(".scope"), classes, *(_read(f"{name}.css") for name in SHEETS)])


@cache
def css() -> str:
    """The style sheet of a page that shows one Scope only: no margin, the ground of both themes."""
    light, dark = TOKENS["paper"]
    ground = f"body{{background:{dark}}}"
    return (
        f"html,body{{margin:0;min-height:100%}}body{{background:{light}}}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]) {ground}}}"
        f":root[data-theme=dark] {ground}"
    )


def _module(name: str, done: dict[str, str], path: tuple[str, ...]) -> None:
    """Add ``name`` and, before it, what it imports to ``done``."""
    if name in done:
        return
    if name in path:
        raise ValueError(f"front end: {' > '.join((*path, name))} import each other")
    source = _read(f"{name}.js")
    for _, needed in _IMPORT.findall(source):
        _module(needed, done, (*path, name))
    body = _IMPORT.sub(lambda m: f"const {{{m[1].replace(' as ', ': ')}}} = ${m[2]};\n", source)
    exports = _EXPORT.findall(body)
    body = _EXPORT.sub("", body)
    left = _LEFT.search(body)
    if left:
        raise ValueError(f"front end: {name}.js: cannot bundle {left[0]!r}")
    done[name] = f"const ${name} = (() => {{\n{body}return {{{', '.join(exports)}}};\n}})();\n"


@cache
def bundle() -> str:
    """The whole front end as one ES module.

    Raises:
        ValueError: two files import each other, or one uses a form this does not know.
    """
    modules: dict[str, str] = {}
    _module("main", modules, ())
    head = f"const $tokens = {json.dumps(TOKENS)};\nconst $sheet = {json.dumps(sheet())};\n"
    tail = (
        "export const {mount, unpack} = $main;\n"
        "export default {initialize: $main.initialize, render: $main.render};\n"
    )
    return head + "".join(modules.values()) + tail
