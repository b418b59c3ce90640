"""Where bfloat16 pays: on processors that multiply it natively. Elsewhere it is emulated, slower than float32."""

import torch


def has_fast_bf16(device: torch.device | str) -> bool:
    """Whether this device has bfloat16 arithmetic of its own (Ampere and later GPUs; AVX512-BF16 or AMX processors)."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch 2.9 cannot tell; float32 is then the safe answer.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return kind == "cpu" and bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def run_in_fast_precision(network: torch.nn.Module, device: torch.device) -> torch.autocast:
    """The context in which a network is evaluated: bfloat16 where it is fast and the weights are float32.

    Native bfloat16 is two to four times faster and leaves the sampler's float32 state alone. A network whose weights
    have another type was given that type by its user, and runs in it.
    """
    single = next(network.parameters()).dtype == torch.float32
    return torch.autocast(device.type, torch.bfloat16, enabled=single and has_fast_bf16(device))
