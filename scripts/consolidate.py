"""Converts a sharded checkpoint to a single file: python scripts/consolidate.py run=DIR

Keys: run (the directory), checkpoint (a file; default: the best), output (the new file; default:
consolidated.ckpt next to it). Commands of this project read sharded checkpoints directly; other
programs may need a single file.
"""

from arclight.config.arguments import arguments
from arclight.config.entry import plain_errors


def main() -> None:
    given = arguments(__doc__, required=("run",), optional=("checkpoint", "output"))
    from arclight.use.consolidate import consolidate

    consolidate(**given)


if __name__ == "__main__":
    with plain_errors():
        main()
