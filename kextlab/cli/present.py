"""`kextlab demo --html` and `--present`: the story of a lost record as a page, and on a screen."""

import tempfile
import webbrowser
from pathlib import Path


class CannotWrite(Exception):
    """The page cannot be written; the message is one line for the user."""


def show(html: Path | None, present: bool) -> str:
    """Write the page to `html` (default: a folder of its own among the temporary files), in large
    type and opened in the browser if it is presented; returns the line that says what was done.

    Raises CannotWrite when the file cannot be written.
    """
    from kextlab.views.story import write

    file = html or Path(tempfile.mkdtemp(prefix="kextlab-")) / "lost-record.html"
    try:
        write(file, presenter=present)
    except OSError as error:
        raise CannotWrite(f"cannot write {file} ({error.strerror or error})") from error
    if not present:
        return f"wrote {file}; open it in a browser, ? shows the keys"
    if webbrowser.open(file.resolve().as_uri()):
        return f"opened {file} in the browser; ? shows the keys"
    return f"no browser could be opened; open {file} in one, ? shows the keys"
