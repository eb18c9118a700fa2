"""Ask a run about new images or texts: python scripts/predict.py run=DIR input=FILE_OR_FOLDER

Keys: run (the directory), input (an image or a folder of images; for runs on text a file with one
text in each line), output (a csv file; default: the terminal), checkpoint (a file; default: the
best). Columns: the file or text, and the label with the probability of each class, the caption, or
the text that was made of it, by what the run has learnt. Row n is of line n: a blank line has a row
without an answer, and so has an image that cannot be read, of which the command complains at its
end. A run that learnt hidden tokens fills in <mask> (or [MASK], as its tokenizer has it).
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
