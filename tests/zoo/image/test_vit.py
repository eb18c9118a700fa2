from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from arclight.errors import UserError
from arclight_zoo.image.vit import ShiftedPatches, ViT
from arclight_zoo.image.vit_weights import from_timm_vit
from arclight_zoo.nets.transformer import DropPath
from tests.zoo import reference

SIZES = {
    "image_size": 8,
    "patch_size": 4,
    "num_classes": 5,
    "d_model": 16,
    "n_heads": 2,
    "n_layers": 2,
}
PUBLISHED = {"norm_first": True, "final_norm": True, "norm_eps": 1e-6}


def vit(**options: Any) -> ViT:
    return ViT(**{**SIZES, **options})


def shaken(model: nn.Module) -> nn.Module:
    """The model in eval mode, with noise on all weights."""
    for p in model.parameters():
        nn.init.normal_(p, std=0.3)
    return model.eval()


def test_reference_weights_give_the_reference_logits() -> None:
    theirs = shaken(reference.ViT(*SIZES.values()))
    ours = ViT(*SIZES.values()).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_the_sequence_first_reference_does_not_see_the_image() -> None:
    """Class tokens only attend to each other; with swapped axes they see the image."""
    text = shaken(reference.ViT(*SIZES.values(), batch_first=False))
    ours = ViT(*SIZES.values()).eval()
    ours.load_state_dict(text.state_dict(), strict=True)
    x = torch.randn(4, 3, 8, 8)
    assert (text(x) - text(torch.zeros(1, 3, 8, 8))).abs().max() < 1e-5
    assert (ours(x) - text(x)).abs().max() > 1e-2
    for block in text.transformer:
        block.register_forward_pre_hook(lambda _, args: (args[0].transpose(0, 1),))
        block.register_forward_hook(lambda _, args, out: out.transpose(0, 1))
    torch.testing.assert_close(ours(x), text(x), rtol=1e-5, atol=1e-5)


def test_a_seed_gives_the_reference_weights() -> None:
    torch.manual_seed(0)
    theirs = reference.ViT(*SIZES.values()).state_dict()
    torch.manual_seed(0)
    ours = ViT(*SIZES.values()).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)


@pytest.mark.parametrize("options", [{}, {**PUBLISHED, "pool": "mean"}], ids=["plain", "modern"])
def test_images_of_a_batch_are_independent(options: dict[str, Any]) -> None:
    model = shaken(vit(**options))
    x = torch.randn(4, 3, 8, 8, requires_grad=True)
    torch.testing.assert_close(model(x)[:1], model(x[:1]), rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(model(x)[0].sum(), x)
    assert gradient[0].abs().max() > 0
    assert gradient[1:].abs().max() == 0


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [({}, {}), ({"global_pool": "avg", "class_token": False}, {"pool": "mean"})],
    ids=["class token", "mean"],
)
def test_timm_weights_give_timm_logits(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    timm_vit = shaken(
        VisionTransformer(
            img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=4, num_classes=5, **theirs
        )
    )
    model = ViT(32, 8, 5, 64, 4, 2, **PUBLISHED, **ours).eval()
    model.load_state_dict(from_timm_vit(timm_vit.state_dict()), strict=True)
    x = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(model(x), timm_vit(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"init_values": 0.1}, r"ls1\.gamma and 1 more, which .*ViT does not have"),
        ({"global_pool": "avg"}, "pool in a way"),
        ({"global_pool": "avg", "class_token": False, "fc_norm": False}, "pool in a way"),
    ],
)
def test_unsupported_timm_weights_are_rejected(options: dict[str, Any], sentence: str) -> None:
    with torch.device("meta"):
        model = VisionTransformer(
            img_size=32, patch_size=8, embed_dim=64, depth=1, num_heads=4, **options
        )
    with pytest.raises(UserError, match=sentence):
        from_timm_vit(model.state_dict())


@pytest.mark.parametrize("patch_size", [2, 4])
def test_shifted_patches_match_the_paper(patch_size: int) -> None:
    """Computed pixel by pixel: shifted by half a patch along the diagonals, zero outside."""
    layer = ShiftedPatches(3, 6, patch_size)
    x = torch.randn(2, 3, 8, 8)
    half, places = patch_size // 2, 8 // patch_size
    seen = torch.zeros(2, places, places, 5, 3, patch_size, patch_size)
    shifts = [(0, 0), (-half, -half), (-half, half), (half, -half), (half, half)]
    for number, (down, right) in enumerate(shifts):
        for i in range(8):
            for j in range(8):
                if 0 <= i + down < 8 and 0 <= j + right < 8:
                    pixel = x[:, :, i + down, j + right]
                    where = (i // patch_size, j // patch_size, number)
                    seen[:, *where, :, i % patch_size, j % patch_size] = pixel
    tokens = layer.proj(layer.norm(seen.flatten(3)))
    torch.testing.assert_close(layer(x), tokens.permute(0, 3, 1, 2), rtol=1e-5, atol=1e-5)


def test_small_image_options_train_every_parameter() -> None:
    model = vit(**PUBLISHED, shifted_patches=True, locality=True, init="unit")
    model(torch.randn(2, 3, 8, 8)).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert sum(name.endswith("attn.scale") for name, _ in model.named_parameters()) == 2


def test_pools_of_mean_and_class_token() -> None:
    assert "cls_token" in vit().state_dict()
    mean = vit(pool="mean")
    assert "cls_token" not in mean.state_dict()
    assert mean.pos_embed.shape == (1, 4, 16)
    assert mean(torch.randn(2, 3, 8, 8)).shape == (2, 5)


def test_drop_path_rises_with_depth() -> None:
    model = vit(n_layers=5, drop_path=0.2)
    rates = [m.p for m in model.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])


def test_checkpointed_activations_give_the_same_gradients() -> None:
    plain = vit(dropout=0.2, drop_path=0.2)
    thrifty = vit(dropout=0.2, drop_path=0.2, activation_checkpointing=True)
    thrifty.load_state_dict(plain.state_dict())
    x = torch.randn(4, 3, 8, 8)
    for model in (plain, thrifty):
        torch.manual_seed(1)
        model.train()(x).square().sum().backward()
    for a, b in zip(plain.parameters(), thrifty.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_trunc_normal_init() -> None:
    model = vit(d_model=64, init="trunc_normal")
    for name, p in model.named_parameters():
        if "ln" in name:
            assert torch.equal(p, torch.full_like(p, float(name.endswith("weight")))), name
        elif name.endswith("bias"):
            assert not p.any(), name
        else:
            assert 0.01 < p.std() < 0.03, name


def test_unit_init_gives_patches_and_positions_variance_one() -> None:
    model = vit(d_model=256, patch_size=2, init="unit")
    patches = model.patch_embed(torch.randn(8, 3, 8, 8))
    assert patches.std().item() == pytest.approx(1.0, abs=0.15)
    assert model.pos_embed.std().item() == pytest.approx(1.0, abs=0.1)
    assert model.cls_token.std().item() == pytest.approx(1.0, abs=0.2)


def test_channels_last_gives_the_same_logits() -> None:
    model = shaken(vit())
    x = torch.randn(2, 3, 8, 8)
    expected = model(x)
    got = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"patch_size": 3}, r"patch_size=3 does not divide images of 8x8: type model\.patch_size="),
        ({"patch_size": 16}, r"model\.patch_size=16 .*: type model\.patch_size=8, or give data\."),
        ({"patch_size": 0}, r"model\.patch_size=0 does not divide"),
        ({"n_heads": 5}, r"model\.n_heads=5 does not divide model\.d_model=16: type .*n_heads=4"),
        ({"drop_path": 1.5}, r"model\.drop_path=1\.5 should be a probability"),
        ({"pool": "max"}, r"model\.pool=max is unknown: type model\.pool=cls or model\.pool=mean"),
        ({"init": "zero"}, r"model\.init=zero is unknown: type model\.init=reference or "),
    ],
)
def test_errors_say_what_to_type(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        vit(**options)


def test_images_of_another_size_are_rejected() -> None:
    with pytest.raises(UserError, match=r"8x8 but got 12x8: type data\.image_size=8\."):
        vit()(torch.randn(1, 3, 12, 8))


@pytest.mark.slow
def test_compiles_without_a_graph_break() -> None:
    model = shaken(vit(**PUBLISHED))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(compiled(x), model(x))
