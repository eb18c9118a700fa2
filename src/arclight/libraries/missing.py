"""The error for a library that no longer has a name that the engine needs."""


def missing(library: str, name: str, file: str) -> RuntimeError:
    """Returns the error for a missing name.

    Assigning to a missing name, or testing it with `hasattr`, would silently disable a feature.

    Args:
        library: the distribution that had the name.
        name: the class and attribute, or several.
        file: the file in `arclight/libraries` that uses it.
    """
    from importlib.metadata import version

    return RuntimeError(
        f"{library} {version(library)} has no {name}, which runs depend on: install the version of "
        f"requirements.lock, or fix arclight/libraries/{file}."
    )
