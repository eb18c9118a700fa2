"""Code that preprocesses an image file as in evaluation, for the examples of exported models."""

from arclight.tasks.usage import SOFTMAX, Usage
from arclight_zoo.pixels.image_facts import ImageFacts

_MODES = {1: "L", 3: "RGB"}
PACKAGES = ("Pillow",)

_READ = '''

def eight(values):
    """Values of any kind as 8 bits."""
    if values.dtype in (np.uint8, bool):
        return values * np.uint8(255 if values.dtype == bool else 1)
    shades = (values.astype(float) - BLACK) * (255 / (WHITE - BLACK))
    return np.rint(shades.clip(0, 255)).astype(np.uint8)


def bands_of(file):
    """An array (.npy), or the grey pages of a TIFF file, as height x width x bands."""
    if file.endswith(".npy"):
        bands = np.atleast_3d(np.load(file))
        return eight(np.moveaxis(bands, 0, -1) if bands.shape[0] < bands.shape[2] else bands)
    image = Image.open(file)
    if image.format == "TIFF" and image.n_frames > 1 and len(image.getbands()) == 1:
        return eight(np.dstack([np.asarray(page) for page in ImageSequence.Iterator(image)]))
'''
_PICTURE = '''

def square(file):
    """An image file as SIZE x SIZE pixels of 8 bits."""
    if (bands := bands_of(file)) is not None:
        image = Image.fromarray(bands[..., 0] if bands.shape[2] == 1 else bands)
    else:
        image = Image.open(file){checked}
        image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":  # more than 8 bits
        image = Image.fromarray(eight(np.asarray(image)))
    if image.mode == "LAB":
        image = image.convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return resized(image.convert("{mode}")){coloured}
'''
_CHECKED = """
        if image.mode[0] not in "IF" and ";16" in str(image.tile):
            sys.exit(f"{file} has 16 bits a colour, but Pillow reads 8: save it as .npy")"""
_BANDS = '''

def square(file):
    """An array, or the pages of a TIFF file, as SIZE x SIZE x bands of 8 bits."""
    bands = bands_of(file)
    return np.dstack([resized(Image.fromarray(one)) for one in np.moveaxis(bands, -1, 0)])
'''
_CENTRE = '''

def resized(image):
    """The middle of the image, once its shorter side has SHORT pixels."""
    width, height = (int(SHORT * side / min(image.size)) for side in image.size)
    left, top = round((width - SIZE) / 2), round((height - SIZE) / 2)
    x, y = image.width / width, image.height / height
    box = left * x, top * y, (left + SIZE) * x, (top + SIZE) * y
    return image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box)
'''
_WHOLE = '''

def resized(image):
    """The whole image."""
    return image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
'''
_PREPARED = '''

def prepared(file):
    """An image file as the model takes it: (1, channels, SIZE, SIZE)."""
    pixels = np.asarray(square(file), np.float32).reshape(SIZE, SIZE, -1)
    return ((pixels / 255 - MEAN) / STD).transpose(2, 0, 1)[None]
'''


def image_imports(facts: ImageFacts) -> tuple[str, ...]:
    """Lines that import what `image_reader` needs."""
    some = ["Image", *(["ImageOps"] if facts.channels in _MODES else []), "ImageSequence"]
    return (f"from PIL import {', '.join(some)}",)


def image_reader(
    facts: ImageFacts, *, whole: bool = False, coloured: bool = False, normal: bool = True
) -> str:
    """Code that defines `square(file)` and `prepared(file)`.

    Args:
        facts: the run's preprocessing.
        whole: scale the whole image to the square, instead of its centre.
        coloured: return grey images as RGB, for models that take no other.
        normal: also define `prepared`.
    """
    low, high = facts.span or (0, 65535)
    constants = [
        f"SIZE, SHORT = {facts.image_size}, {int(facts.image_size / facts.eval_crop)}",
        f"BLACK, WHITE = {low}, {high if high != low else low + 1}  # for more than 8 bits",
    ]
    if whole:
        constants[0] = f"SIZE = {facts.image_size}"
    if normal:
        constants += [f"MEAN = np.array({facts.mean}, np.float32)",
                      f"STD = np.array({facts.std}, np.float32)"]  # fmt: skip
    read = _READ + _BANDS
    if facts.channels in _MODES:
        again = '.convert("RGB")' if coloured and facts.channels == 1 else ""
        checked = _CHECKED if facts.span else ""
        mode = _MODES[facts.channels]
        read = _READ + _PICTURE.format(mode=mode, coloured=again, checked=checked)
    parts = ["\n".join(constants) + "\n", _WHOLE if whole else _CENTRE, read]
    return "".join([*parts, *([_PREPARED] if normal else [])])


CLASS_ANSWER = """    found = softmax(outputs)
    chances = dict(zip(classes, found.tolist()))
    print(json.dumps({"file": file, "label": classes[found.argmax()], "probabilities": chances}))
"""
"""Code that prints the predicted class and all probabilities, from `outputs` and `classes`."""


def row_usage(facts: ImageFacts, answer: str) -> Usage:
    """The example of a model that predicts a row of numbers per image.

    Args:
        facts: the run's preprocessing.
        answer: code that prints a prediction, such as `CLASS_ANSWER`.
    """
    read = image_reader(facts) + (SOFTMAX if "softmax(" in answer else "")
    loop = """

classes = json.loads(known["classes"])
for file in sys.argv[1:]:
    outputs = model(images=prepared(file))[0][0]
"""
    return Usage(
        asks="IMAGE...",
        imports=image_imports(facts),
        packages=PACKAGES,
        code=f"{read}{loop}{answer}",
    )
