"""Repeats a finished run and compares the results: python scripts/reproduce.py run=DIR

Keys: run (the directory), output (the new run's directory; default: next to the old one), tolerance
(largest difference of a metric if equal bits cannot be expected; default 0.01). Differences in
code, packages, hardware and data are printed first. Exit code 1 if the results differ.
"""

import sys

from arclight.config.arguments import arguments
from arclight.config.entry import plain_errors


def main() -> int:
    given = arguments(__doc__, required=("run",), optional=("output", "tolerance"))
    from arclight.use.reproduce import reproduce

    return reproduce(**given)


if __name__ == "__main__":
    with plain_errors():
        sys.exit(main())
