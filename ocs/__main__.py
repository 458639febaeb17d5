"""`python -m ocs` is the `ocs` command."""

from ocs.cli import main

if __name__ == "__main__":
    main()
