"""Do a finished run again and compare: python scripts/reproduce.py run=DIR

Keys: run (the directory), output (the new run's directory; default: beside the old one), tolerance
(largest difference of a figure where bits cannot be expected to be equal; default 0.01). Every
difference in code, packages, hardware and data is named first. Exit code 1 where figures differ.
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
