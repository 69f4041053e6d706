"""Make what the course generates: both notebooks of every exercise, and the glossary's page.

    python tools/make_course.py          write what differs
    python tools/make_course.py --check  name what differs and exit 1

The sources are ``solutions/NN-topic.py`` and ``kextlab/course/glossary.toml``.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from kextlab.course.glossary import page
from kextlab.course.question import CourseError
from kextlab.course.source import as_json, read_source

ROOT = Path(__file__).parents[1]


def made() -> Iterator[tuple[Path, str]]:
    """Every generated file and what it should hold."""
    yield ROOT / "notebooks" / "glossary.md", page()
    for path in sorted((ROOT / "solutions").glob("[0-9][0-9]-*.py")):
        source = read_source(path)
        yield ROOT / "exercises" / f"{path.stem}.ipynb", as_json(source.exercise())
        yield path.with_suffix(".ipynb"), as_json(source.solution())


def main(check: bool) -> int:
    """Write or compare; the exit code."""
    differing = []
    try:
        for path, text in made():
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                differing.append(path)
                if not check:
                    path.write_text(text, encoding="utf-8")
    except CourseError as error:
        print(f"make_course: {error}", file=sys.stderr)
        return 2
    for path in differing:
        print("differs:" if check else "wrote", path.relative_to(ROOT))
    return int(check and bool(differing))


if __name__ == "__main__":
    raise SystemExit(main("--check" in sys.argv[1:]))
