"""Label images with a run: python scripts/predict.py run=DIR input=FILE_OR_FOLDER

Keys: run (the directory), input (an image or a folder of images), output (a csv file; default:
the terminal), checkpoint (a file; default: the best). Columns: file, label, and the probability
of each class.
"""

from arclight.config.arguments import arguments
from arclight.config.entry import plain_errors


def main() -> None:
    given = arguments(__doc__, required=("run", "input"), optional=("output", "checkpoint"))
    from arclight.run.predict import predict

    predict(**given)


if __name__ == "__main__":
    with plain_errors():
        main()
