"""metrics.csv holds each figure once, also over kills and resumes."""

from pathlib import Path

from arclight.training.loggers import MetricsFile, read_metrics


def test_rows_and_new_columns(tmp_path: Path) -> None:
    logger = MetricsFile(tmp_path / "metrics.csv")
    logger.log_metrics({"a": 1.5}, 10)
    logger.log_metrics({"a": 0.1}, 20)
    logger.log_metrics({"b": 2.0}, 20)
    logger.log_metrics({"a": 3.0}, 30)
    assert read_metrics(logger.path) == [
        {"step": "10", "a": "1.5", "b": ""},
        {"step": "20", "a": "0.1", "b": ""},
        {"step": "20", "a": "", "b": "2"},
        {"step": "30", "a": "3", "b": ""},
    ]


def test_a_resumed_run_drops_rows_after_its_checkpoint(tmp_path: Path) -> None:
    logger = MetricsFile(tmp_path / "metrics.csv")
    for step in (1, 2, 3):
        logger.log_metrics({"a": float(step)}, step)
    resumed = MetricsFile(logger.path)
    resumed.rewind(2)
    resumed.log_metrics({"a": 3.0}, 3)
    resumed.log_metrics({"a": 4.0}, 4)
    assert [r["a"] for r in read_metrics(logger.path)] == ["1", "2", "3", "4"]


def test_an_incomplete_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,a,b\n1,2,3\n2,4")
    assert [r["step"] for r in read_metrics(path)] == ["1"]
    resumed = MetricsFile(path)
    resumed.rewind(5)
    resumed.log_metrics({"a": 1.0}, 6)
    assert [r["step"] for r in read_metrics(path)] == ["1", "6"]


def test_a_fresh_run_starts_with_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    MetricsFile(path).rewind(-1)
    assert path.read_text() == ""
