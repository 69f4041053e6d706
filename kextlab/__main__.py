"""`python -m kextlab`: the `kextlab` command, for machines where it is not on the path."""

from kextlab.cli import main

if __name__ == "__main__":
    main()
