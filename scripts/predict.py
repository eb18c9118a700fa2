"""Predicts on new images or texts: python scripts/predict.py run=DIR input=FILE_OR_FOLDER

Keys: run (the directory), input (an image or a folder of images; for runs on text a file with one
text in each line), output (a csv file; default: the terminal), checkpoint (a file; default: the
best). Columns: the file or text, then the predicted label and the probability of each class, the
caption, or the generated text, depending on the task. Row n belongs to line n: blank lines and
unreadable images get a row without a prediction, and unreadable images are reported at the end. A
run that was trained on masked tokens fills in <mask> (or [MASK], depending on its tokenizer).
"""

from arclight.config.arguments import arguments
from arclight.config.entry import plain_errors


def main() -> None:
    given = arguments(__doc__, required=("run", "input"), optional=("output", "checkpoint"))
    from arclight.use.predict import predict

    predict(**given)


if __name__ == "__main__":
    with plain_errors():
        main()
