"""The front end as one module: nothing of it reaches out, and what it uses is there."""

import re
from importlib.resources import files

import pytest

from kextlab.views import front
from kextlab.views.tokens import TOKENS

FILES = sorted(one.name for one in files(front).iterdir() if one.name.endswith((".js", ".css")))


def test_no_address_outside_stands_in_the_bundle() -> None:
    found = set(re.findall(r"https?://[^\s\"'`<>)]+", front.bundle() + front.css()))
    assert found == {"http://www.w3.org/2000/svg"}


def test_nothing_in_the_bundle_can_make_a_request() -> None:
    for word in ("fetch(", "XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon", "@import"):
        assert word not in front.bundle()


def test_a_script_element_can_hold_the_bundle() -> None:
    assert "</script" not in front.bundle()


def test_every_file_is_in_the_bundle() -> None:
    for name in FILES:
        if name.endswith(".js"):
            assert f"const ${name.removesuffix('.js')} = " in front.bundle()
        else:
            assert name.removesuffix(".css") in front.SHEETS


def test_every_variable_of_the_style_sheet_is_defined() -> None:
    sheet = front.sheet()
    used = set(re.findall(r"var\(--([\w-]+)\)", sheet))
    own = set(re.findall(r"--([\w-]+):", sheet))
    given = set(re.findall(r'setProperty\("--([\w-]+)"', front.bundle()))
    assert used - own - given == set()
    assert set(TOKENS) <= own


def test_no_colour_stands_outside_the_table_of_tokens() -> None:
    for name in FILES:
        text = files(front).joinpath(name).read_text(encoding="utf-8")
        assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?![-\w])", text.replace("url(#ground)", "")) == []


def test_modules_that_need_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {
        "main.js": 'import {a} from "./other.js";\nexport const b = a;\n',
        "other.js": 'import {b} from "./main.js";\nexport const a = b;\n',
    }
    monkeypatch.setattr(front, "_read", lambda name: sources.get(name, ""))
    front.bundle.cache_clear()
    with pytest.raises(ValueError, match="main > other > main import each other"):
        front.bundle()
    front.bundle.cache_clear()


def test_a_form_the_bundler_does_not_know_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    source = 'import * as all from "./other.js";\n'
    monkeypatch.setattr(front, "_read", lambda name: source if name == "main.js" else "")
    front.bundle.cache_clear()
    with pytest.raises(ValueError, match=r"main\.js: cannot bundle 'import \* as all"):
        front.bundle()
    front.bundle.cache_clear()
