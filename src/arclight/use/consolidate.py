"""Converts a sharded checkpoint to a single file."""

from pathlib import Path

from arclight.errors import UserError
from arclight.run_directory import chosen_checkpoint, open_run


def consolidate(run: str, checkpoint: str | None = None, output: str | None = None) -> Path:
    """Joins the shards of a run's checkpoint into one file, and returns its path.

    Args:
        run: the run directory.
        checkpoint: a checkpoint file; None: the one that the run tested.
        output: the new file; None: `consolidated.ckpt` next to the checkpoint.

    Raises:
        UserError: the checkpoint is damaged, or is a single file already.
    """
    file = chosen_checkpoint(open_run(run), checkpoint)
    from arclight.training.checkpoint_files import UnreadableCheckpointError, read
    from arclight.training.checkpoint_io import WholeCheckpointIO

    try:
        content = read(file)
    except UnreadableCheckpointError as error:
        raise UserError(f"{error}; choose another with checkpoint=FILE.") from error
    if content.pop("shards", None) is None:
        raise UserError(f"{file} is a single file already; there is nothing to join.")
    del content["checksums"], content["shard_metadata"]
    target = Path(output).expanduser() if output else file.with_name("consolidated.ckpt")
    WholeCheckpointIO().save_checkpoint(content, target)
    print(f"{target}: {target.stat().st_size / 2**20:,.1f} MiB, of step {content['global_step']}")
    return target
