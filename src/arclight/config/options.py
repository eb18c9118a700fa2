"""List the options of a config group: the files in its folder."""

from arclight.config.project import PROJECT


def options(group: str) -> list[str]:
    """Returns the names that may be typed after `GROUP=`; files named `_*` are shared parts."""
    files = (PROJECT / "configs" / group).glob("*.yaml")
    return sorted(file.stem for file in files if not file.name.startswith("_"))
