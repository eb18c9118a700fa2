"""The options of a config group, as its folder has them."""

from arclight.config.project import PROJECT


def options(group: str) -> list[str]:
    """The names that may be typed after `GROUP=`; those that begin with `_` are shared parts."""
    files = (PROJECT / "configs" / group).glob("*.yaml")
    return sorted(file.stem for file in files if not file.name.startswith("_"))
