"""The embedded model's training pass, written out: the same learning for less work.

Against the model of transformers in an adapter of PEFT, whose loss and gradients it gives where
nothing is dropped out, it

- merges each adapter into its weights once a step, so that a layer costs one product forward and
  one backward, and takes the adapter's gradients from their small factors;
- computes queries, keys and values in one product;
- runs the last layer only where its states are read: at parts of the prompt and at labels;
- computes logits where there is a label, and no gradient of rows that are not trained;
- drops states out, not attention, for which the CPU's fast kernel has no dropout;
- multiplies in bfloat16 where the hardware does, with weights, sums, norms and softmax in float32.

`EmbeddedModel.loss` is the plain form that this one is tested against. Nothing is loaded or
decoded here. Imported late: it opens torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.nn import functional

from dreamlab.models.compute import multiple_of

IGNORED = -100
_ADAPTER = "default"
_NOISE = 1 << 22


class TrainingPass:
    """The pass of one adapted model.

    Args:
        model: the embedded model as PEFT wraps it.
        parts: ids of the added tokens, which end the vocabulary.
        pointer: scale of the scores of parts pointed at.
        half: multiply in bfloat16.
        dropout: whether to drop states while training, as the model's configuration says.
    """

    def __init__(
        self, model: Any, parts: Sequence[int], pointer: float, half: bool, dropout: bool = True
    ) -> None:
        bert = model.get_base_model()
        self.bert = bert.bert
        self.head = bert.cls.predictions
        self.heads = int(bert.config.num_attention_heads)
        self.epsilon = float(bert.config.layer_norm_eps)
        self.dropout = float(bert.config.hidden_dropout_prob) if dropout else 0.0
        self.first = min(parts)
        self.pointer = pointer
        self.dtype = torch.bfloat16 if half else torch.float32
        # Dropout takes its masks from a long one: to draw each anew costs a tenth of the time.
        drawn = torch.rand(_NOISE, generator=torch.Generator().manual_seed(0))
        self.noise = (drawn >= self.dropout).float() / (1 - self.dropout)
        rows = self.head.decoder.token_adapter.base_layer.weight
        self.words = rows[: self.first].detach().to(self.dtype)

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean cross-entropy over the completions' tokens of a batch of `collate`."""
        return functional.cross_entropy(*self.logits(batch))

    def logits(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits of every label of a batch [N, vocabulary], and the labels [N], row by row."""
        with _no_autocast(batch["input_ids"].device):
            states, at = self._encode(batch)
            return self._logits(batch, states, at)

    def _encode(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The last states where they are read [B, M, H], and where that is [B, M].

        The last of the M are the positions that write the K labels.
        """
        rows, length = batch["input_ids"].shape
        states = self._embed(batch)
        mask = batch["attention_mask"]
        for layer in self.bert.encoder.layer[:-1]:
            states = self._layer(layer, states, rows, mask)
        at = _read_at(batch["copied"], batch["labels"].shape[1])
        seen = mask.expand(rows, 1, length, length)
        seen = seen.gather(2, at[:, None, :, None].expand(-1, 1, -1, length))
        states = self._layer(self.bert.encoder.layer[-1], states, rows, seen, at)
        return states.view(rows, at.shape[1], -1), at

    def _embed(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The states before the first layer: [B x L, H]."""
        ids = batch["input_ids"].flatten()
        layer = self.bert.embeddings
        words = layer.word_embeddings.token_adapter
        part = (ids >= self.first).nonzero()[:, 0]
        trained = words.trainable_tokens_delta[_ADAPTER]
        states = functional.embedding(ids, words.base_layer.weight)
        states = states.index_copy(0, part, functional.embedding(ids[part] - self.first, trained))
        states = states + layer.position_embeddings(batch["position_ids"].flatten())
        states = states + layer.token_type_embeddings.weight[0]
        return self._drop(self._norm(states, layer.LayerNorm))

    def _layer(
        self,
        layer: Any,
        states: torch.Tensor,
        rows: int,
        mask: torch.Tensor,
        at: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """One layer over states [B x L, H]; its result only `at` those positions of each row."""
        hidden = states.shape[1]
        own = layer.attention.self
        mixed = self._linear(states, own.query, own.key, own.value)
        mixed = mixed.view(rows, -1, 3, self.heads, hidden // self.heads)
        if not states.is_cuda:
            mixed = mixed.float()  # the CPU's attention kernel is ten times slower in bfloat16
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        if at is not None:
            query = query.gather(2, at[:, None, :, None].expand(-1, self.heads, -1, query.shape[3]))
            states = states.view(rows, -1, hidden)
            states = states.gather(1, at[:, :, None].expand(-1, -1, hidden)).reshape(-1, hidden)
        heard = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        heard = heard.transpose(1, 2).reshape(-1, hidden)
        heard = self._linear(heard, layer.attention.output.dense).float()
        states = self._norm(self._drop(heard) + states, layer.attention.output.LayerNorm)
        wide = functional.gelu(self._linear(states, layer.intermediate.dense))
        narrow = self._linear(wide, layer.output.dense).float()
        return self._norm(self._drop(narrow) + states, layer.output.LayerNorm)

    def _logits(
        self, batch: dict[str, torch.Tensor], read: torch.Tensor, at: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        labels = batch["labels"]
        count = labels.shape[1]
        wanted = labels != IGNORED
        said = self.head.transform(read[:, -count:])
        copied = batch["copied"].gather(1, at)
        pointed = (said @ read.transpose(1, 2) * self.pointer).masked_fill(~copied[:, None], 0.0)
        part = (batch["input_ids"].gather(1, at) - self.first).clamp(min=0)
        part = part[:, None].expand(-1, count, -1)[wanted]
        said = said[wanted]
        rows = self.head.decoder.token_adapter.trainable_tokens_delta[_ADAPTER]
        parts = (said @ rows.t()).scatter_add(1, part, pointed[wanted])
        words = (said.to(self.dtype) @ self.words.t()).float()
        return torch.cat([words, parts], dim=1), labels[wanted]

    def _linear(self, states: torch.Tensor, *layers: Any) -> torch.Tensor:
        """What adapted linear layers give, side by side, in the type that is multiplied in."""
        bases = [layer.base_layer for layer in layers]
        bias = torch.cat([base.bias for base in bases]) if len(bases) > 1 else bases[0].bias
        result: torch.Tensor = _Adapted.apply(
            states.to(self.dtype),
            bias,
            float(layers[0].scaling[_ADAPTER]),
            [base.weight for base in bases],
            *(layer.lora_A[_ADAPTER].weight for layer in layers),
            *(layer.lora_B[_ADAPTER].weight for layer in layers),
        )
        return result

    def _norm(self, states: torch.Tensor, norm: Any) -> torch.Tensor:
        return functional.layer_norm(
            states, (states.shape[1],), norm.weight, norm.bias, self.epsilon
        )

    def _drop(self, states: torch.Tensor) -> torch.Tensor:
        if not (self.bert.training and self.dropout):
            return states
        count, bank = states.numel(), self.noise
        if states.is_cuda or count > len(bank):
            return functional.dropout(states, self.dropout)
        begin = int(torch.randint(len(bank) - count + 1, ()))
        return states * bank[begin : begin + count].view_as(states)


class _Adapted(torch.autograd.Function):
    """Linear layers with frozen weights W and low-rank adapters B A, merged: x (W + s B A)' + b.

    The gradients of A and B come from their factors, never from the gradient of W.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        bias: torch.Tensor,
        scale: float,
        weights: Sequence[torch.Tensor],
        *adapters: torch.Tensor,
    ) -> torch.Tensor:
        downs, ups = adapters[: len(weights)], adapters[len(weights) :]
        merged = torch.cat(
            [
                torch.addmm(weight, up, down, alpha=scale)
                for weight, down, up in zip(weights, downs, ups, strict=True)
            ]
        ).to(states.dtype)
        ctx.scale = scale
        ctx.save_for_backward(states, merged, *adapters)
        return torch.addmm(bias.to(states.dtype), states, merged.t())

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        states, merged, *adapters = ctx.saved_tensors
        downs, ups = adapters[: len(adapters) // 2], adapters[len(adapters) // 2 :]
        rank = downs[0].shape[0]
        (back,) = upstream
        back = back.contiguous()
        backs = back.split([up.shape[0] for up in ups], dim=1)
        low = states @ torch.cat(downs).to(states.dtype).t()
        of_ups = [
            (one.t() @ low[:, i * rank : (i + 1) * rank]).float() * ctx.scale
            for i, one in enumerate(backs)
        ]
        lifted = torch.cat(
            [one @ up.to(one.dtype) for one, up in zip(backs, ups, strict=True)], dim=1
        )
        of_downs = ((lifted.t() @ states).float() * ctx.scale).split(rank)
        return (back @ merged, None, None, None, *of_downs, *of_ups)


def _read_at(copied: torch.Tensor, labels: int) -> torch.Tensor:
    """The positions [B, M] of each row, in order, whose last states are read.

    These are the parts of the prompt and the positions before the labels, filled up from the left
    where a row has fewer.
    """
    read = copied.clone()
    read[:, -labels - 1 : -1] = True
    most = min(copied.shape[1], multiple_of(4, int(read.sum(1).max())))
    return torch.sort(read.int(), dim=1, stable=True).indices[:, -most:]


def _no_autocast(device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, enabled=False)
