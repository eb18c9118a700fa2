"""Mistakes on the command line of `train.py`: the message says what to type."""

import pytest

from arclight.config.help.every_fault import every_fault
from arclight.config.help.hydra_errors import in_a_sentence
from arclight.config.overrides import quoted
from arclight.config.typed import not_key_value
from arclight.errors import UserError
from tests.conftest import CONFIGS


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("model vit", "type model=vit."),
        ("model = vit", "type model=vit, without spaces."),
        ("model =vit", "type model=vit, without spaces."),
        ("data.path=My Photos", "type 'data.path=\"My Photos\"'."),
        ("resume runs/a", "type resume=runs/a."),
        ("seed=1 =3", "without spaces around the equals sign."),
    ],
)
def test_a_word_that_is_no_override(line: str, typed: str) -> None:
    words = line.split(" ")
    word = next(one for one in words if "=" not in one.lstrip("="))
    sentence = not_key_value(word, words)
    assert sentence.startswith(f"{word} is not of the form KEY=VALUE")
    assert sentence.endswith(typed)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("lr=0.1", "lr is not a key of the config: did you mean optimizer.lr?"),
        ("epochs=3", "did you mean trainer.max_epochs or trainer.min_epochs?"),
        ("batch_size=3", "did you mean data.batch_size?"),
        ("device=3", "did you mean trainer.devices?"),
        ("paper=tiny", "type python scripts/paper.py paper=NAME."),
        ("-m optimizer.lrr=0.1,0.2", "did you mean optimizer.lr?"),
        ("resume=runs/a task.lr=1", "leave out task.lr=1, or start a new run."),
        ("resume=runs/a trainer.max_epoch=1", "did you mean trainer.max_epochs?"),
        ("experiment=project model.pretrained=a", "add pretrained to its file in configs/model/."),
        ("data=image_folder data.path=a(b", "with all its quotes."),
        ("data=/tmp/x seed=1", "text_file, text_shards, token_files."),
        ("model=a/b", "unet, vit, vit_base, vit_huge, vit_large, vit_small, vit_tiny."),
    ],
)
def test_a_wrong_key(line: str, sentence: str) -> None:
    (found,) = every_fault(line.split(), CONFIGS)
    assert found.endswith(sentence)


def test_a_key_that_the_class_takes_and_no_config_sets() -> None:
    words = ["~task.label_smoothing", "task.label_smoothing=0.1"]
    with_plus = "type +task.label_smoothing=0.1, or add label_smoothing to its file in configs/"
    assert with_plus in "\n".join(every_fault(words, CONFIGS))


@pytest.mark.parametrize("flag", ["--config-name digits_vit", "-cn=experiment/digits_vit"])
def test_a_recipe_is_chosen_by_its_group(flag: str) -> None:
    sentence = in_a_sentence(Exception("Cannot find primary config"), overrides=flag.split())
    assert sentence.endswith("type experiment=digits_vit.")


def test_a_path_in_place_of_data() -> None:
    (found,) = every_fault(["data=/tmp/x"], CONFIGS)
    assert found.startswith("data=/tmp/x is a path: type data=NAME data.path=/tmp/x, where NAME is")


def test_keys_have_no_dashes() -> None:
    with pytest.raises(UserError, match=r"--resume is not a flag: .*; type resume=runs/a\."):
        quoted(["--resume=runs/a"])
    assert quoted(["--config-dir=a", "-m"]) == ["--config-dir=a", "-m"]
