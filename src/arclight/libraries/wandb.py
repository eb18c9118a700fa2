"""Internal names of W&B that the engine uses.

- `wandb.sdk.mailbox.HandleAbandonedError`: raised when W&B's service has stopped; the run then
  continues without it. The error has no public base class.
"""

from arclight.libraries.missing import missing


def service_gone() -> tuple[type[Exception], ...]:
    """Returns the errors that W&B raises when its service process has stopped.

    Raises:
        RuntimeError: this version of W&B lacks the error.
    """
    try:
        from wandb.sdk.mailbox import HandleAbandonedError
    except ImportError:
        raise missing("wandb", "sdk.mailbox.HandleAbandonedError", "wandb.py") from None
    return ConnectionError, HandleAbandonedError
