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
