"""`python -m wgctl`: the command line, as the installed `wgctl` is."""

import sys

from wgctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
