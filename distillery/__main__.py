"""The command line: `python -m distillery`."""

from flows.commands.app import main

if __name__ == "__main__":
    main()
