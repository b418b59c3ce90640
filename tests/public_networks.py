"""The public networks in plain torch, written from their files' names alone; nothing of echosynth is in them."""

import math

import torch
import torch.nn.functional as F

WIDTHS = (64, 128, 256, 512)
LEVELS, DEPTH = (64, 128, 320, 512), (3, 4, 8, 3)
State = dict[str, torch.Tensor]


class Maker:
    """Random weights by name, with statistics that keep activations near unit size."""

    def __init__(self) -> None:
        self.state: State = {}
        self.generator = torch.Generator().manual_seed(0)

    def weight(self, name: str, *shape: int) -> None:
        self.state[name] = torch.randn(*shape, generator=self.generator) / math.sqrt(max(1, math.prod(shape[1:])))

    def linear(self, name: str, *shape: int) -> None:
        self.weight(f"{name}.weight", *shape)
        self.weight(f"{name}.bias", shape[0])

    def norm(self, name: str, width: int, batch: bool = True) -> None:
        self.state[f"{name}.weight"] = 1 + 0.1 * torch.randn(width, generator=self.generator)
        self.weight(f"{name}.bias", width)
        if batch:
            self.state[f"{name}.running_mean"] = 0.1 * torch.randn(width, generator=self.generator)
            self.state[f"{name}.running_var"] = 1 + torch.rand(width, generator=self.generator)
            self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)


def r2plus1d_state(outputs: int = 1) -> State:
    made = Maker()
    made.weight("stem.0.weight", 45, 3, 1, 7, 7), made.norm("stem.1", 45)
    made.weight("stem.3.weight", 64, 45, 3, 1, 1), made.norm("stem.4", 64)
    inside = 64
    for k, width in enumerate(WIDTHS, start=1):
        for j in range(2):
            block, first = f"layer{k}.{j}", inside if j == 0 else width
            middle = first * width * 27 // (first * 9 + 3 * width)  # torchvision: of the block, for both convolutions
            for conv, into in (("conv1", first), ("conv2", width)):
                (
                    made.weight(f"{block}.{conv}.0.0.weight", middle, into, 1, 3, 3),
                    made.norm(f"{block}.{conv}.0.1", middle),
                )
                made.weight(f"{block}.{conv}.0.3.weight", width, middle, 3, 1, 1), made.norm(f"{block}.{conv}.1", width)
            if first != width:
                (
                    made.weight(f"{block}.downsample.0.weight", width, first, 1, 1, 1),
                    made.norm(f"{block}.downsample.1", width),
                )
        inside = width
    made.linear("fc", outputs, 512)
    made.state["fc.bias"] += 55.6
    return made.state


def batch_norm(x: torch.Tensor, s: State, name: str) -> torch.Tensor:
    mean, var, weight, bias = (s[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias)


def r2plus1d(s: State, x: torch.Tensor) -> torch.Tensor:
    def split(x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        x = F.conv3d(x, s[f"{name}.0.0.weight"], None, (1, stride, stride), (0, 1, 1))
        x = F.relu(batch_norm(x, s, f"{name}.0.1"))
        return batch_norm(F.conv3d(x, s[f"{name}.0.3.weight"], None, (stride, 1, 1), (1, 0, 0)), s, f"{name}.1")

    x = F.relu(batch_norm(F.conv3d(x, s["stem.0.weight"], None, (1, 2, 2), (0, 3, 3)), s, "stem.1"))
    x = F.relu(batch_norm(F.conv3d(x, s["stem.3.weight"], None, 1, (1, 0, 0)), s, "stem.4"))
    for k in range(1, 5):
        for j in range(2):
            block, stride = f"layer{k}.{j}", 2 if k > 1 and j == 0 else 1
            short = x
            if f"{block}.downsample.0.weight" in s:
                short = batch_norm(
                    F.conv3d(x, s[f"{block}.downsample.0.weight"], None, stride), s, f"{block}.downsample.1"
                )
            x = F.relu(split(F.relu(split(x, f"{block}.conv1", stride)), f"{block}.conv2", 1) + short)
    return F.linear(x.mean(dim=(2, 3, 4)), s["fc.weight"], s["fc.bias"])[:, 0]


def uniformer_state(outputs: int = 1) -> State:
    made, inside = Maker(), 3
    for k, (width, count) in enumerate(zip(LEVELS, DEPTH, strict=True), start=1):
        made.linear(f"patch_embed{k}.proj", width, inside, *((3, 4, 4) if k == 1 else (1, 2, 2)))
        made.norm(f"patch_embed{k}.norm", width, batch=False)
        for j in range(count):
            block = f"blocks{k}.{j}"
            made.linear(f"{block}.pos_embed", width, 1, 3, 3, 3)
            made.norm(f"{block}.norm1", width, batch=k <= 2), made.norm(f"{block}.norm2", width, batch=k <= 2)
            one = (1, 1, 1) if k <= 2 else ()
            if k <= 2:
                (
                    made.linear(f"{block}.conv1", width, width, 1, 1, 1),
                    made.linear(f"{block}.conv2", width, width, 1, 1, 1),
                )
                made.linear(f"{block}.attn", width, 1, 5, 5, 5)
            else:
                made.linear(f"{block}.attn.qkv", 3 * width, width), made.linear(f"{block}.attn.proj", width, width)
            (
                made.linear(f"{block}.mlp.fc1", 4 * width, width, *one),
                made.linear(f"{block}.mlp.fc2", width, 4 * width, *one),
            )
        inside = width
    made.norm("norm", 512)
    made.linear("head", outputs, 512)
    return made.state


def uniformer(s: State, x: torch.Tensor) -> torch.Tensor:
    """Embedding of clips, (B, 512)."""

    def conv(x: torch.Tensor, name: str, **how: object) -> torch.Tensor:
        return F.conv3d(x, s[f"{name}.weight"], s[f"{name}.bias"], **how)  # type: ignore[arg-type]

    def over_channels(x: torch.Tensor, name: str, eps: float) -> torch.Tensor:
        mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        scale, shift = (s[f"{name}.{k}"].view(1, -1, *[1] * (x.ndim - 2)) for k in ("weight", "bias"))
        return (x - mean) / (var + eps).sqrt() * scale + shift

    for k, width in enumerate(LEVELS, start=1):
        how = {"stride": (2, 4, 4), "padding": (1, 0, 0)} if k == 1 else {"stride": (1, 2, 2)}
        x = over_channels(conv(x, f"patch_embed{k}.proj", **how), f"patch_embed{k}.norm", 1e-5)
        for j in range(DEPTH[k - 1]):
            b = f"blocks{k}.{j}"
            x = x + conv(x, f"{b}.pos_embed", padding=1, groups=width)
            if k <= 2:
                h = conv(batch_norm(x, s, f"{b}.norm1"), f"{b}.conv1")
                x = x + conv(conv(h, f"{b}.attn", padding=2, groups=width), f"{b}.conv2")
                x = x + conv(F.gelu(conv(batch_norm(x, s, f"{b}.norm2"), f"{b}.mlp.fc1")), f"{b}.mlp.fc2")
                continue
            h = F.linear(
                over_channels(x, f"{b}.norm1", 1e-6).flatten(2).mT, s[f"{b}.attn.qkv.weight"], s[f"{b}.attn.qkv.bias"]
            )
            q, key, v = h.chunk(3, dim=-1)
            heads = []
            for n in range(width // 64):
                cut = slice(64 * n, 64 * n + 64)
                heads.append((q[..., cut] @ key[..., cut].mT / 8).softmax(-1) @ v[..., cut])
            h = F.linear(torch.cat(heads, -1), s[f"{b}.attn.proj.weight"], s[f"{b}.attn.proj.bias"])
            x = x + h.mT.reshape(x.shape)
            h = F.linear(
                over_channels(x, f"{b}.norm2", 1e-6).flatten(2).mT, s[f"{b}.mlp.fc1.weight"], s[f"{b}.mlp.fc1.bias"]
            )
            x = x + F.linear(F.gelu(h), s[f"{b}.mlp.fc2.weight"], s[f"{b}.mlp.fc2.bias"]).mT.reshape(x.shape)
    return batch_norm(x, s, "norm").mean(dim=(2, 3, 4))
