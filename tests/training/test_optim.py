"""AdamW's groups, Muon by hand, and rates that lie in a tensor."""

from __future__ import annotations

import copy

import pytest
import torch
from small_states import copied
from torch import Tensor, nn

from face_parsing.training.optim import build_optimizer, orthogonalised, rates_from, set_learning_rate


def test_only_weights_of_two_or_more_dimensions_decay() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    optimizer = build_optimizer(
        model, name="adamw", lr=0.1, weight_decay=0.5, betas=[0.8, 0.95], muon_scale=0.2, head_lr_scale=3.0
    )
    assert isinstance(optimizer, torch.optim.AdamW)
    decayed, kept = optimizer.param_groups
    assert {id(p) for p in decayed["params"]} == {id(model[0].weight), id(model[3].weight)}
    assert {id(p) for p in kept["params"]} == {id(p) for p in (model[0].bias, *model[1].parameters(), model[3].bias)}
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.5, 0.0)
    assert all((group["lr"], group["betas"]) == (0.1, (0.8, 0.95)) for group in optimizer.param_groups)

    before = copied(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():  # without a gradient a step is the decay: 1 - lr * weight_decay
        factor = 0.95 if parameter.ndim >= 2 else 1.0
        torch.testing.assert_close(parameter.detach(), factor * before[name])


def test_orthogonalised_matrices_keep_their_directions_and_lose_their_lengths() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 12, 40, generator=generator)
    y = torch.stack(orthogonalised(list(x)))
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    inner = u.mT @ y @ vh.mT  # diagonal where the singular vectors are the same
    diagonal = inner.diagonal(dim1=-2, dim2=-1)
    assert (inner - torch.diag_embed(diagonal)).abs().max() < 0.01
    assert diagonal.min() > 0.6
    assert diagonal.max() < 1.3
    # A tall matrix is the transposed case, and no matrix depends on those beside it, of whatever width.
    tall, narrow, alone = orthogonalised([x[1].mT, x[2, :, :20], x[0]])
    torch.testing.assert_close(tall.mT, y[1])
    torch.testing.assert_close(alone, y[0])
    torch.testing.assert_close(narrow, orthogonalised([x[2, :, :20]])[0])


def test_muon_takes_the_convolutions_and_leaves_the_rest_to_adamw() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1)
    )
    optimizer = build_optimizer(
        model, name="muon", lr=0.1, weight_decay=0.5, betas=[0.8, 0.95], muon_scale=0.2, head_lr_scale=3.0
    )
    decayed, kept, head, matrices = (group["params"] for group in optimizer.param_groups)
    assert [p is model[0].weight for p in matrices] == [True]
    assert [p is model[1].weight for p in decayed] == [True]
    assert [p is model[3].weight for p in head] == [True]
    assert {id(p) for p in kept} == {id(model[2].weight), id(model[2].bias), id(model[3].bias)}
    set_learning_rate(optimizer, 0.4)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.4, 0.4, 1.2, 0.4])


def test_a_step_of_muon_by_hand() -> None:
    weight = nn.Conv2d(2, 3, 3, bias=False)
    before = weight.weight.detach().clone()
    gradients = torch.randn(2, 3, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    optimizer = build_optimizer(
        weight, name="muon", lr=0.01, weight_decay=0.5, betas=[0.9, 0.99], muon_scale=0.2, head_lr_scale=3.0
    )
    wanted, momentum = before, torch.zeros_like(before)
    for gradient in gradients:
        weight.weight.grad = gradient.clone()
        optimizer.step()
        momentum = 0.95 * momentum + 0.05 * gradient
        (update,) = orthogonalised([(0.05 * gradient + 0.95 * momentum).reshape(3, 18)])
        # 18 columns: the entries of an orthogonal 3 x 18 matrix have a mean square of 1 / 18.
        wanted = wanted * (1 - 0.01 * 0.5) - 0.01 * 0.2 * 18**0.5 * update.view(3, 2, 3, 3)
    torch.testing.assert_close(weight.weight.detach(), wanted)


def test_muon_goes_on_from_its_state_and_treats_equal_shapes_apart() -> None:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        torch.manual_seed(seed)
        model(torch.randn(4, 5, 8, 8)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    def network() -> nn.Sequential:
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(5, 5, 3, bias=False), nn.BatchNorm2d(5), nn.Conv2d(5, 5, 3, bias=False), nn.Conv2d(5, 2, 1)
        )

    chosen = {
        "name": "muon",
        "lr": 0.01,
        "weight_decay": 0.1,
        "betas": (0.9, 0.99),
        "muon_scale": 0.2,
        "head_lr_scale": 3.0,
    }
    model = network()
    optimizer = build_optimizer(model, **chosen)  # type: ignore[arg-type]
    step(model, optimizer, 0)
    other = network()
    other.load_state_dict(model.state_dict())
    resumed = build_optimizer(other, **chosen)  # type: ignore[arg-type]
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # else they would share their momenta
    for m, o in ((model, optimizer), (other, resumed)):
        step(m, o, 1)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert not torch.equal(
        optimizer.state[model[0].weight]["momentum_buffer"], optimizer.state[model[2].weight]["momentum_buffer"]
    )


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_rates_of_a_tensor_are_taken_as_those_of_the_groups(name: str) -> None:
    def stepped(rates: Tensor | None) -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
        optimizer = build_optimizer(
            model, name=name, lr=0.1, weight_decay=0.1, betas=(0.9, 0.99), muon_scale=0.5, head_lr_scale=2.0
        )
        for step in range(3):
            model(torch.full((1, 3, 8, 8), float(step)) + torch.arange(8)).square().sum().backward()
            set_learning_rate(optimizer, 0.01 * (step + 1))
            if rates is None:
                optimizer.step()
            else:
                rates.copy_(torch.tensor([group["lr"] for group in optimizer.param_groups]))
                with rates_from(optimizer, rates):
                    assert all(isinstance(group["lr"], Tensor) for group in optimizer.param_groups)
                    optimizer.step()
            optimizer.zero_grad()
        return model, optimizer

    wanted, plain = stepped(None)
    found, optimizer = stepped(torch.zeros(len(plain.param_groups)))
    assert all(isinstance(group["lr"], float) and group["capturable"] is False for group in optimizer.param_groups)
    for ours, theirs in zip(found.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_rates_are_the_groups_again_after_an_error() -> None:
    optimizer = build_optimizer(
        nn.Conv2d(3, 4, 3), name="adamw", lr=0.1, weight_decay=0.1, betas=(0.9, 0.99), muon_scale=0.5, head_lr_scale=2.0
    )
    with pytest.raises(RuntimeError, match="out"), rates_from(optimizer, torch.zeros(2)):
        raise RuntimeError("out")
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]
