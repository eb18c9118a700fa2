from .data.facts import Facts as Facts
from .data.module import DataModule as DataModule
from .errors import UserError as UserError
from .tasks.task import Task as Task
from .use.load import load as load
from .use.train import train as train

__all__ = ["DataModule", "Facts", "Task", "UserError", "load", "train"]
