"""Compares architectures at their published sizes: python scripts/compare.py [key=value]

Keys: only (families or names, separated by commas, such as ViT,ResNet-50; default: all of
configs/compare.yaml), measure (true: also latency and throughput on this machine, if the model
fits; default false), output (a folder for compare.md, compare.csv and compare.png; default: print
only).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arclight.config.arguments import arguments, listed
from arclight.config.entry import plain_errors
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError

CONFIGS = Path(__file__).parents[1] / "configs"


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """A checked config, composed as in train.py."""
    from hydra import compose

    from arclight.config.checks.check import check
    from arclight.config.freeze import freeze

    config = freeze(compose("train", overrides=["name=compare", *overrides]))
    check(config)
    return config


def main() -> None:
    given = arguments(__doc__, optional=("only", "measure", "output"))
    if given.get("measure", "false") not in ("true", "false"):
        raise UserError(f"measure={given['measure']} should be true or false.")
    import yaml

    entries = yaml.safe_load((CONFIGS / "compare.yaml").read_text())
    wanted = listed(given, "only")
    known = list(dict.fromkeys(one[key] for key in ("family", "name") for one in entries))
    for word in wanted:
        if word not in known:
            raise UserError(
                f"only={word} is not in configs/compare.yaml{did_you_mean(word, known)}"
            )
    from hydra import initialize_config_dir

    from arclight.costs.architectures import Entry, compare
    from arclight.costs.peaks import free_memory
    from arclight.report.compare import NOTE, markdown, write
    from arclight.run.assembly import build_task

    room = None
    if given.get("measure") == "true":
        import torch

        room = int(0.5 * (free_memory(torch.device("cpu")) or 4 * 2**30))
    chosen = [
        Entry(**one)
        for one in entries
        if not wanted or one["family"] in wanted or one["name"] in wanted
    ]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        rows = [compare(entry, composed, build_task, room) for entry in chosen]
    print(f"{markdown(rows)}\n{NOTE}")
    if "output" in given:
        for file in write(rows, Path(given["output"]).expanduser()):
            print(f"wrote {file}")


if __name__ == "__main__":
    with plain_errors():
        main()
