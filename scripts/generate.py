"""Generates text with a run: python scripts/generate.py run=DIR prompt="def " [key=value]

Keys: run, prompt, length (tokens to generate, default 200), temperature (default 0.8; 0 takes the
most probable token), top_k (sample from this many tokens, default 50; 0: from all), seed (default
0), checkpoint (a file; default: the one that the run tested).
"""

from arclight.config.arguments import arguments, number
from arclight.config.entry import plain_errors


def main() -> None:
    given = arguments(
        __doc__, ("run",), ("prompt", "length", "temperature", "top_k", "seed", "checkpoint")
    )
    from arclight.use.generate import generate

    print(
        generate(
            given["run"],
            given.get("prompt", ""),
            number(given, "length", int, 200),
            number(given, "temperature", float, 0.8),
            number(given, "top_k", int, 50) or None,
            number(given, "seed", int, 0),
            given.get("checkpoint"),
        )
    )


if __name__ == "__main__":
    with plain_errors():
        main()
