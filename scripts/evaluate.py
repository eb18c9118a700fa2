"""Test a finished run again, from its directory alone: python scripts/evaluate.py run=DIR

Keys: run (the directory), checkpoint (a file; default: the best), data (a path in the place of the
run's own). The figures are printed, and are the run's own to the last digit.
"""

from arclight.config.arguments import arguments
from arclight.config.entry import plain_errors


def main() -> None:
    given = arguments(__doc__, required=("run",), optional=("checkpoint", "data"))
    from arclight.use.evaluate import evaluate

    evaluate(**given)


if __name__ == "__main__":
    with plain_errors():
        main()
