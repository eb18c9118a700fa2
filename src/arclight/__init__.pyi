from .data.facts import Facts as Facts
from .data.module import DataModule as DataModule
from .errors import UserError as UserError
from .tasks.task import Task as Task
from .use.load import load as load

__all__ = ["DataModule", "Facts", "Task", "UserError", "load"]
