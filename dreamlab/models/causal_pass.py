"""The training pass of a larger base model: its own layers, without padding and with less memory.

Against the plain form (padded rows, logits everywhere, an adapter as a layer beside each layer) it

- lays the rows of a batch end to end, none cut and none padded; every row sees itself alone, by
  FlashAttention for rows of any length on a GPU and row by row elsewhere;
- computes logits only where there is a label, through the model's own head;
- computes an adapted layer in three products without another copy of its weights, and takes the
  gradients of the adapter from its small factors;
- uses Liger's kernels for norms, gates and rotary positions where they are installed, on a GPU.

On the first batch both forms are computed: a model on which they disagree, because its layers look
beyond a row, is trained in the plain form. Nothing is loaded or decoded here. Imported late: it
opens torch and transformers.
"""

from __future__ import annotations

import inspect
import logging
from types import MethodType
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

IGNORED = -100
ATTENTION = "dreamlab_rows"
_ADAPTER = "default"
_CHECKED = 2
"""Rows on which the two forms are compared."""

_APART = 0.05
"""Mean distance of their logits that is put down to rounding, as a share of the logits' spread: in
small random models bfloat16 makes .01 of it, and rows that see one another more than .5."""


class CausalPass:
    """The pass of one adapted causal language model.

    Args:
        model: the model as PEFT wraps it; its layers are changed.
        compiled: compile its layers, which pays on a GPU after some hundred steps.
    """

    def __init__(self, model: Any, compiled: bool = False) -> None:
        self.model = model
        self.packs: bool | None = None
        base = model.get_base_model()
        for module in model.modules():
            if _is_plain_lora(module):
                module.forward = MethodType(_adapted_forward, module)
        if base.config._attn_implementation == "sdpa":
            AttentionInterface.register(ATTENTION, _attend)
            AttentionMaskInterface.register(ATTENTION, sdpa_mask)
            base.set_attn_implementation(ATTENTION)
        else:
            self.packs = False
        if base.device.type == "cuda":
            _liger(base)
        if compiled:
            for layer in base.get_decoder().layers:
                layer.compile(dynamic=True)

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean cross-entropy over the completions' tokens of a batch of `collate`."""
        if self.packs is None:
            self.packs = self._agrees({name: rows[:_CHECKED] for name, rows in batch.items()})
        logits = self.packed(batch) if self.packs else self.plain(batch)
        _, labels = _wanted(batch)
        return functional.cross_entropy(logits, labels)

    def plain(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The logits of every label [N, vocabulary], row by row, from padded rows."""
        output = self.model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
        )
        wanted, _ = _wanted(batch)
        logits: torch.Tensor = output.logits[wanted].float()
        return logits

    def packed(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The same from rows laid end to end."""
        real = batch["attention_mask"].bool()
        lengths = real.sum(1)
        ends = functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
        positions = torch.arange(real.shape[1], device=real.device).expand_as(real)
        longest = int(lengths.max())
        wanted, _ = _wanted(batch)
        output = self.model(
            input_ids=batch["input_ids"][real][None],
            position_ids=positions[real][None],
            # Where a mask is given none is made: rows that know their ends need none.
            attention_mask=real.new_ones(1, 1, 1, 1),
            cu_seq_lens_q=ends,
            cu_seq_lens_k=ends,
            max_length_q=longest,
            max_length_k=longest,
            logits_to_keep=wanted[real].nonzero()[:, 0],
            use_cache=False,
        )
        logits: torch.Tensor = output.logits[0].float()
        return logits

    def _agrees(self, batch: dict[str, torch.Tensor]) -> bool:
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                plain, packed = self.plain(batch), self.packed(batch)
            apart = float((plain - packed).abs().mean() / plain.std().clamp(min=1e-9))
        except Exception as error:  # a door: every model refuses in its own way
            apart, reason = float("inf"), f"{type(error).__name__}: {error}".split("\n")[0][:200]
        else:
            reason = f"logits {apart:.2f} of their spread apart"
        finally:
            self.model.train(training)
        if apart > _APART:
            logging.getLogger(__name__).warning("training on padded rows: %s", reason)
        return apart <= _APART


def _wanted(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Where a label is written from [B, L], and the labels in that order [N]."""
    following = functional.pad(batch["labels"][:, 1:], (0, 1), value=IGNORED)
    wanted = following != IGNORED
    return wanted, following[wanted]


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int = 0,
    **given: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of rows laid end to end, [1, heads, T, d] in and [1, T, heads, d] out.

    Where no ends of rows are given it is the attention of padded rows.
    """
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            dropout=dropout,
            scaling=scaling,
            sliding_window=sliding_window,
            **given,
        )
    window = sliding_window if sliding_window and sliding_window < max_length_q else 0
    flash = _flash_rows() if query.is_cuda and query.dtype != torch.float32 else None
    if flash and not dropout:
        mixed = flash(
            query[0].transpose(0, 1),
            key[0].transpose(0, 1),
            value[0].transpose(0, 1),
            cu_seq_lens_q,
            cu_seq_lens_q,
            max_length_q,
            max_length_q,
            scale=scaling,
            window_size=(window - 1 if window else -1, 0),
            enable_gqa=True,
        )
        return mixed[None], None
    lengths = cu_seq_lens_q.diff().tolist()
    # The CPU's attention kernel is ten times slower in bfloat16.
    cast = query.dtype if query.is_cuda else torch.float32
    split = (one.to(cast).split(lengths, dim=2) for one in (query, key, value))
    rows = [
        functional.scaled_dot_product_attention(
            ours,
            keys,
            values,
            attn_mask=_band(ours, window) if window else None,
            dropout_p=dropout,
            is_causal=not window,
            scale=scaling,
            enable_gqa=True,
        )
        for ours, keys, values in zip(*split, strict=True)
    ]
    return torch.cat(rows, dim=2).to(query.dtype).transpose(1, 2), None


def _flash_rows() -> Any:
    """FlashAttention over rows of any length, if this torch has it with all that is asked of it."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters
    return varlen_attn if {"window_size", "enable_gqa", "scale"} <= known.keys() else None


def _band(query: torch.Tensor, window: int) -> torch.Tensor:
    """A causal mask that looks back `window` positions, its own among them."""
    size = query.shape[2]
    ones = torch.ones(size, size, dtype=torch.bool, device=query.device).tril()
    return ones & ~ones.tril(-window)


def _liger(model: Any) -> None:
    try:
        from liger_kernel.transformers import _apply_liger_kernel_to_instance
    except ImportError:
        return
    # The loss is ours: it needs no logits but those of labels.
    _apply_liger_kernel_to_instance(
        model=model, cross_entropy=False, fused_linear_cross_entropy=False
    )


def _is_plain_lora(module: Any) -> bool:
    """Whether a module is a linear layer with one LoRA adapter and nothing more to it."""
    from peft.tuners.lora.layer import Linear

    return (
        type(module) is Linear
        and type(module.base_layer) is torch.nn.Linear
        and list(module.lora_A) == [_ADAPTER]
        and not getattr(module, "lora_variant", None)
        and not module.fan_in_fan_out
        and isinstance(module.lora_dropout[_ADAPTER], torch.nn.Identity)
        and module.lora_B[_ADAPTER].bias is None
    )


def _adapted_forward(self: Any, states: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
    """The forward of a LoRA layer; in PEFT's own way where its adapter is merged or disabled."""
    if self.disable_adapters or self.merged or given or named:
        result: torch.Tensor = type(self).forward(self, states, *given, **named)
        return result
    result = _Beside.apply(
        states.flatten(0, -2),
        self.base_layer.weight,
        self.base_layer.bias,
        self.lora_A[_ADAPTER].weight,
        self.lora_B[_ADAPTER].weight,
        float(self.scaling[_ADAPTER]),
    )
    return result.view(*states.shape[:-1], -1)


class _Beside(torch.autograd.Function):
    """A linear layer with frozen weights W and a low-rank adapter B A: x W' + s (x A') B' + b."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        states = states.to(weight.dtype)
        low = states @ down.to(weight.dtype).t()
        result = functional.linear(states, weight, bias)
        result = result.addmm_(low, up.to(weight.dtype).t(), alpha=scale)
        ctx.save_for_backward(states, weight, down, up, low)
        ctx.scale = scale
        return result

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        states, weight, down, up, low = ctx.saved_tensors
        back = upstream[0].to(weight.dtype)
        lifted = back @ up.to(weight.dtype)
        of_states = None
        if ctx.needs_input_grad[0]:
            of_states = (back @ weight).addmm_(lifted, down.to(weight.dtype), alpha=ctx.scale)
        of_down = (lifted.t() @ states).to(down.dtype) * ctx.scale
        of_up = (back.t() @ low).to(up.dtype) * ctx.scale
        return of_states, None, None, of_down, of_up, None
