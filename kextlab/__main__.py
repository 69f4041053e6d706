"""`python -m kextlab`: the `kextlab` command, for machines where it is not on the path."""

import sys


def main() -> None:
    """Run the command, or say in one line that what it is made with is not installed."""
    try:
        from kextlab.cli import main as command

        command()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("click", "rich", "typer"):
            raise
        sys.exit(
            f"kextlab: {missing} is not installed for {sys.executable}; in the folder with "
            'kextlab\'s pyproject.toml run: make lab, or pip install ".[lab]"'
        )


if __name__ == "__main__":
    main()
