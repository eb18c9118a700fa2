"""Runs and tests a paper: python scripts/paper.py paper=NAME [paper.KEY=VALUE] [KEY=VALUE]

Executes the missing runs of the paper in configs/paper/NAME.yaml, writes tables, figures, claims,
checklist, report.html and artifact.zip to papers/NAME, and tests the claims.

Keys of the paper (configs/paper/_paper.yaml has them all):
  paper.seeds=[0,1]       the repetitions
  paper.dir=PATH          the directory
  paper.workers=2         parallel runs; the same command on another machine helps
  paper.check=true        test the claims on existing runs; train nothing
  paper.evidence=FOLDER   further run directories for or against the claims
  paper.mixed=true        also use runs with other code or data than the rest
  paper.again=true        continue failed runs
  paper.dry_run=true      print what would run, and how many seeds the claims need
Any other KEY=VALUE is for every run, such as trainer.max_epochs=5.

From an artifact: python scripts/paper.py artifact=artifact.zip output=FOLDER

Exit code: 0 all claims hold, 1 a claim fails, 3 none fails but some are undecided, 2 the input is
not valid.
"""

import signal
import sys
from pathlib import Path

from arclight.config.arguments import arguments, show_help, without_cfg
from arclight.config.entry import plain_errors
from arclight.config.help.completion import complete

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> None:
    complete(("paper", "artifact", "output"), configs=("paper", "train"))
    words = sys.argv[1:]
    show_help(__doc__, words or ["--help"])
    if any(word.startswith("artifact=") for word in words):
        from arclight.paper.run_paper import rebuild

        given = arguments(__doc__, required=("artifact", "output"))
        sys.exit(rebuild(given["artifact"], given["output"]))
    from arclight.config.overrides import quoted
    from arclight.masking import masked_overrides
    from arclight.paper.run_paper import require_words, run_paper

    words, only_shown = without_cfg(words)
    require_words(words)
    sys.argv[1:] = masked_overrides(words)  # which manifests keep
    if only_shown:
        _show_settings(quoted(words))
        return
    sys.exit(run_paper(quoted(words)))


def _show_settings(words: list[str]) -> None:
    """Prints the paper as `--cfg job` asks."""
    import yaml

    from arclight.config.compose import hydra_ready
    from arclight.paper.compose import divided, settings_of

    with hydra_ready():
        _, settings = settings_of(divided(words)[0])
    print(yaml.safe_dump({"paper": settings}, sort_keys=False, allow_unicode=True), end="")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is something to save
    with plain_errors(CONFIGS):
        main()
