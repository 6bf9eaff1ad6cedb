"""`python -m edge_agent` and the `edge-agent` command."""

import sys

from edge_agent.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
