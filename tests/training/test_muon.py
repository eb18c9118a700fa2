"""Muon trains the hidden matrices, AdamW the rest, in one optimizer."""

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from arclight.errors import UserError
from arclight.training.muon import MuonWithAdamW, hidden_matrices, muon
from arclight.training.optimizers import adamw
from arclight_zoo.text.gpt import GPT


def model() -> GPT:
    torch.manual_seed(0)
    return GPT(vocab_size=11, context=8, d_model=16, n_heads=2, n_layers=2, dropout=0.0)


def steps(net: nn.Module, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    schedule = LambdaLR(optimizer, lambda step: 1 / (1 + first + step))
    for step in range(first, last):
        tokens = torch.randint(11, (4, 8), generator=torch.Generator().manual_seed(step))

        def closure(tokens: torch.Tensor = tokens) -> float:
            optimizer.zero_grad()
            loss = net(tokens).square().mean()
            loss.backward()
            return loss.item()

        assert optimizer.step(closure) is not None
        schedule.step()


def test_muon_gets_the_matrices_in_blocks_and_adamw_the_rest() -> None:
    net = model()
    optimizer = muon(net, fused=False)
    names = {id(p): n for n, p in net.named_parameters()}
    first, *others = ([names[id(p)] for p in g["params"]] for g in optimizer.param_groups)
    assert sorted(n.split(".", 2)[2] for n in first if n.startswith("transformer.0.")) == [
        "attn.in_proj_weight",
        "attn.out_proj.weight",
        "ff.0.weight",
        "ff.3.weight",
    ]
    together = [*first, *(n for group in others for n in group)]
    assert sorted(together) == sorted(names.values())
    assert not [n for n in first if "embed" in n or "head" in n]


def test_each_part_equals_the_separate_optimizer() -> None:
    both, alone = model(), model()
    tokens = torch.randint(11, (4, 8))
    for net in (both, alone):
        net(tokens).square().mean().backward()
    muon(both, fused=False, lr=0.01).step()
    matrices = hidden_matrices(alone)
    torch.optim.Muon(
        matrices, lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    ).step()
    for p in matrices:
        p.grad = None
    adamw(alone, fused=False, lr=0.01, weight_decay=0.1, betas=(0.9, 0.95)).step()
    for a, b in zip(both.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a, b)


def test_state_is_restored_and_the_schedule_updates_every_group() -> None:
    straight, resumed = model(), model()
    optimizer = muon(straight, fused=True)
    rate = optimizer.param_groups[0]["lr"]
    steps(straight, optimizer, 0, 5)
    rates = {g["lr"] for g in optimizer.param_groups}
    assert len(rates) == 1
    assert rates == {optimizer.param_groups[0]["initial_lr"] / 6}
    before = muon(resumed, fused=True)
    steps(resumed, before, 0, 3)
    weights, state = resumed.state_dict(), before.state_dict()
    again = model()
    again.load_state_dict(weights)
    after = muon(again, fused=True)
    after.load_state_dict(state)
    assert isinstance(after, MuonWithAdamW)
    for group in after.param_groups:
        del group["initial_lr"]  # the schedule here begins anew
        group["lr"] = rate
    steps(again, after, 3, 5)
    for a, b in zip(again.parameters(), straight.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_model_without_hidden_matrices_is_a_user_error() -> None:
    with pytest.raises(UserError, match="type optimizer=adamw"):
        muon(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2)), fused=False)
