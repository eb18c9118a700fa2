"""Random combinations of group options train or are rejected with a message; none crashes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.safety.whole import WHOLE

SAMPLE = (1000, 1002, 1003, 1005, 1007, 1022, 1025, 1027, 1031, 1039, 1041, 1055, 1061, 1063)
SEEDS = range(1000, 1500) if WHOLE else SAMPLE


@pytest.mark.slow
def test_none_crashes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.safety.combinations", str(tmp_path), *map(str, SEEDS)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"seed"')]
    assert len(found) == len(SEEDS)
    crashes = {" ".join(one["words"]): one["crash"] for one in found if one["crash"]}
    assert not crashes
    refused = [one["refused"] for one in found if one["refused"] is not None]
    assert all(said.strip() and "Traceback" not in said for said in refused)
    trained = len(found) - len(refused)
    print(f"{len(found)} combinations: {trained} trained, {len(refused)} were rejected")
    assert trained > len(found) // 5
