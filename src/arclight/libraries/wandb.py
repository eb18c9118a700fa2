"""What the engine needs of W&B's private names, in one place.

- `wandb.sdk.mailbox.HandleAbandonedError`: a run goes on when W&B's service has gone, which this
  error tells. It has no public base class.
"""

from arclight.libraries.missing import missing


def service_gone() -> tuple[type[Exception], ...]:
    """What W&B raises when its service, a process of its own, has ended.

    Raises:
        RuntimeError: this version of W&B has another name for it.
    """
    try:
        from wandb.sdk.mailbox import HandleAbandonedError
    except ImportError:
        raise missing("wandb", "sdk.mailbox.HandleAbandonedError", "wandb.py") from None
    return ConnectionError, HandleAbandonedError
