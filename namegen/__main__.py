"""`python -m namegen`, the same as the command `namegen`."""

import sys

from namegen.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
