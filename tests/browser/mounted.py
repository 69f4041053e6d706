"""A page of the test's own around the front end, open to the test: ``window.scope`` is what mount
returned, ``window.sent`` what it would have sent to Python.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from kextlab.views import front

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)


def page_of(doc: dict[str, Any], options: dict[str, Any], live: bool = False) -> str:
    """A page with one Scope; what it would send to Python is kept in ``window.sent``."""
    data = base64.b64encode(gzip.compress(json.dumps(doc).encode())).decode()
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Scope</title>
<meta http-equiv="Content-Security-Policy" content="{POLICY}"><link rel="icon" href="data:,">
<style>{front.css()}</style></head><body><main id="scope"></main><script type="module">
{front.bundle()}
window.sent = [];
unpack("{data}").then((doc) => {{
  const host = {{live: {json.dumps(live)}, options: {json.dumps(options)}}};
  if (host.live) {{ host.send = (m) => sent.push(m); host.on = (f) => (window.hear = f); }}
  window.scope = mount(document.getElementById("scope"), doc, host);
}});
</script></body></html>"""


def until(page: Any, condition: str) -> None:
    """Wait until a JavaScript condition holds; the page's policy forbids Playwright's own way."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never came true: {condition}")
