"""Many runs started at once: each gets its own directory with its own overrides."""

from contextlib import ExitStack
from pathlib import Path

import yaml

from arclight.run_directory import RunDirectory
from tests.fault.harness import PROJECT, Command, Part, incomplete_files, last_line


def starts(folder: Path, number: int) -> Part:
    """Starts this number of runs at once, which differ in one override."""
    part = Part("simultaneous starts", "its own directory, with its own overrides")
    root = folder / "runs"
    rates = [f"{0.001 + i / 10_000:.4f}" for i in range(number)]
    words = ("debug=fast", "model=vit", "data.limit=64", f"runs={root}")
    with ExitStack() as stack:
        commands = {
            rate: stack.enter_context(
                Command(str(PROJECT / "train.py"), *words, f"optimizer.lr={rate}", folder=folder)
            )
            for rate in rates
        }
        codes = {rate: command.code for rate, command in commands.items()}
        said = {rate: last_line(command.output) for rate, command in commands.items()}
    runs = [RunDirectory(file.parent) for file in root.glob("*/summary.json")]
    for rate in rates:
        faults = [f"exit code {codes[rate]}: {said[rate]}"] if codes[rate] else []
        own = [run for run in runs if run.config["optimizer"]["lr"] == float(rate)]
        faults += [] if len(own) == 1 else [f"{len(own)} directories"]
        for run in own:
            overrides = yaml.safe_load((run.path / "overrides.yaml").read_text())
            if f"optimizer.lr={rate}" not in overrides or run.status != "finished":
                faults.append(f"{run.path.name} has {overrides}, status {run.status}")
        part.add(f"optimizer.lr={rate}", faults)
    if len(runs) != number or incomplete_files(root):
        part.add("all", [f"{len(runs)} directories", *incomplete_files(root)])
    return part
