"""Draw the house into docs/architecture.md: every floor and room, from the code itself.

    python tools/draw_house.py

The floors come from the import contract in pyproject.toml, the rooms and what they are for from
the first line of each module's header. A test proves the drawing is in step.
"""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
START = "<!-- house: drawn by tools/draw_house.py -->"
END = "<!-- /house -->"


def floors() -> list[list[str]]:
    """The floors of the contract, top first, each a list of packages; those that exist."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    house = next(c for c in contracts["contracts"] if c["id"] == "house")
    rows = [row.replace("(", "").replace(")", "").split(" | ") for row in house["layers"]]
    there = [[name for name in row if (ROOT / "kextlab" / name).is_dir()] for row in rows]
    return [row for row in there if row]


def purpose(path: Path) -> str:
    """The first sentence of a module's header."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def drawing() -> str:
    """The house as Markdown: one table a floor."""
    lines = [START, ""]
    for row in floors():
        for package in row:
            folder = ROOT / "kextlab" / package
            lines += [f"**{package}**: {purpose(folder / '__init__.py')}.", ""]
            lines += ["| module | what it is |", "|---|---|"]
            lines += [
                f"| `{path.stem}` | {purpose(path)} |"
                for path in sorted(folder.glob("*.py"))
                if path.stem != "__init__"
            ]
            lines.append("")
    return "\n".join([*lines, END])


def redrawn(page: str) -> str:
    """The page with its drawing replaced."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return before + drawing() + after


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
