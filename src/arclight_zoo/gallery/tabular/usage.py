"""Example code for exported models of tables."""

import json

from arclight.tasks.usage import SOFTMAX, Usage
from arclight_zoo.gallery.tabular.facts import TableFacts

_CLASSES = """    found = softmax(outputs)
    chances = dict(zip(classes, found.tolist()))
    answer = {{"label": classes[found.argmax()], "probabilities": chances}}
"""
_VALUES = """    value = float(outputs[0]) * float(known["std"]) + float(known["mean"])
    answer = {{{target}: value}}
"""


def table_usage(facts: TableFacts) -> Usage:
    """The example of a program that predicts the class or value of each row of a csv file."""
    answer = _CLASSES if facts.class_names else _VALUES
    encoding = json.dumps(facts.encoding or "utf-8-sig")
    missing = json.dumps(["", *facts.missing])
    code = f"""{SOFTMAX if facts.class_names else ""}
classes, columns = json.loads(known["classes"]), json.loads(known["inputs"])
means, stds = (dict(zip(columns["numbers"], columns[key])) for key in ("means", "stds"))


def category(cell, words):  # its number; equal numbers and booleans may differ in text
    if {{*words}} <= {{"False", "True"}}:
        cell = cell.capitalize()
    try:
        return 1 + [float(w) for w in words].index(float(cell))
    except ValueError:
        return words.index(cell) + 1 if cell in words else 0


def encoded(row):  # numbers, 1 for empty ones, and numbers of categories (0: unknown)
    numbers = {{c: None if row[c] in {missing} else float(row[c]) for c in columns["numbers"]}}
    scaled = [0 if v is None else (v - means[c]) / stds[c] for c, v in numbers.items()]
    gaps = [numbers[c] is None for c in columns["gaps"]]
    named = columns["categories"].items()
    categories = [category(row[c], words) for c, words in named]
    return np.array([[*scaled, *gaps, *categories]], np.float32)


for i, row in enumerate(csv.DictReader(open(sys.argv[1], encoding={encoding}, newline="")), 1):
    outputs = model(rows=encoded(row))[0][0]
{answer.format(target=json.dumps(facts.target))}    print(json.dumps({{"row": str(i), **answer}}))
"""
    return Usage(asks="ROWS.csv", imports=("import csv",), code=code)
