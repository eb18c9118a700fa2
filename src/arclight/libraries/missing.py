"""What is said where a library no longer has a name that the engine needs."""


def missing(library: str, name: str, file: str) -> RuntimeError:
    """The error of a name that is gone.

    Assigning to such a name, or asking for it by `hasattr`, would disable a feature without a word.

    Args:
        library: the distribution that had it.
        name: of the class and attribute, or of several.
        file: in `arclight/libraries`, where it is used.
    """
    from importlib.metadata import version

    return RuntimeError(
        f"{library} {version(library)} has no {name}, which runs depend on: install the version of "
        f"requirements.lock, or mend arclight/libraries/{file}."
    )
