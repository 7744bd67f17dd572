"""The embedded base model: all-MiniLM-L6-v2 run as a causal decoder over the completion format.

MiniLM has no language-model head, so one is made, the same in every process: every part of the
format becomes a token whose output row is what the model itself reads in the part's name. The
prompt is read both ways, as MiniLM was trained to, and a completion from left to right. Parts that
stand in the prompt are pointed at, by their states there (Vinyals et al., "Pointer Networks",
arXiv 1506.03134), and no others are written: to choose among what is read carries over to facets
and combinations that no example had. No adapter is loaded or trained here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dreamlab.models.completion import NONE, CompletionFormat
from dreamlab.models.compute import by_length, multiple_of
from dreamlab.models.embedding import MINILM, MINILM_SHA256, packaged_minilm, quiet_transformers

if TYPE_CHECKING:
    import torch

END = "<end>"
CONTEXT = 256
"""Tokens of a question that are read; of a longer one, its head and its tail."""

NEW_TOKENS = 12
POINTER = 0.05
"""Scale of the scores of parts pointed at: near 1 / sqrt(hidden size)."""
BATCH = 32
IGNORED = -100

_SAID = {"none": "nothing, unrelated"}


class EmbeddedModel:
    """MiniLM as a decoder: its model, and how questions and completions become tensors."""

    name = MINILM
    sha256 = MINILM_SHA256

    def __init__(self, completion_format: CompletionFormat) -> None:
        """Builds the untouched start model, on the CPU in float32.

        Raises:
            ModelError: MiniLM is not installed or its weights are not the published ones.
        """
        folder = packaged_minilm()
        quiet_transformers()
        from transformers import AddedToken, AutoTokenizer, BertConfig, BertLMHeadModel

        parts = [*completion_format.tokens, END]
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.tokenizer.add_tokens([AddedToken(part, normalized=False) for part in parts])
        vocabulary: dict[str, int] = self.tokenizer.get_vocab()
        self.part_ids = [vocabulary[part] for part in parts]
        self._parts = frozenset(self.part_ids)
        self.end = self.part_ids[-1]
        self.none = vocabulary[NONE]
        config = BertConfig.from_pretrained(
            folder, local_files_only=True, is_decoder=True, tie_word_embeddings=False
        )
        self.model: Any = BertLMHeadModel.from_pretrained(
            folder, config=config, local_files_only=True, use_safetensors=True
        )
        self.model.resize_token_embeddings(len(self.tokenizer), mean_resizing=False)
        self.model.eval()
        self._start(completion_format)

    @property
    def lora(self) -> dict[str, Any]:
        """What an adapter adapts, as arguments of `peft.LoraConfig`."""
        return {
            "target_modules": r".*encoder.*\.(query|key|value|dense)",
            "modules_to_save": ["transform"],
            "trainable_token_indices": {"word_embeddings": self.part_ids, "decoder": self.part_ids},
        }

    def prompt(self, question: str) -> list[int]:
        """The token ids of a prompt between `[CLS]` and `[SEP]`, at most `CONTEXT` in all."""
        readable = question.encode("utf-8", "replace").decode()
        ids: list[int] = self.tokenizer(readable, add_special_tokens=False)["input_ids"]
        room = CONTEXT - 2
        if len(ids) > room:
            ids = ids[: room // 2] + ids[len(ids) - (room - room // 2) :]
        return [self.tokenizer.cls_token_id, *ids, self.tokenizer.sep_token_id]

    def completion(self, text: str) -> list[int]:
        """The token ids of a canonical completion, the end token last."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [*ids, self.end]

    def collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A training batch of rows with `input_ids` and the length of their `prompt`.

        Padded on the left, so that completions end together, to a multiple of 8 (see
        `compute.multiple_of`): `input_ids` and `position_ids` [B, L], `attention_mask`
        [B, 1, L, L] (True where a row's token sees a column's), `labels` [B, K] of the last K
        positions, and `copied` [B, L], True where a part stands in the prompt.
        """
        import torch

        prompts = [row["prompt"] for row in rows]
        lengths = [len(row["input_ids"]) for row in rows]
        size = multiple_of(8, max(lengths))
        last = max(n - p for n, p in zip(lengths, prompts, strict=True))
        ids = torch.full((len(rows), size), self.tokenizer.pad_token_id)
        labels = torch.full((len(rows), last), IGNORED)
        copied = torch.zeros(len(rows), size, dtype=torch.bool)
        for i, (row, n, p) in enumerate(zip(rows, lengths, prompts, strict=True)):
            tokens = torch.tensor(row["input_ids"])
            ids[i, size - n :] = tokens
            labels[i, last - (n - p) :] = tokens[p:]
            copied[i, size - n : size - n + p] = self._is_part(tokens[:p])
        mask, positions = _layout(prompts, lengths, size)
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "position_ids": positions,
            "labels": labels,
            "copied": copied,
        }

    def token_count(self, batch: dict[str, torch.Tensor]) -> int:
        """The tokens of a training batch that are no padding."""
        return int((batch["input_ids"] != self.tokenizer.pad_token_id).sum())

    def pass_of(
        self, model: Any, half: bool, compiled: bool = False
    ) -> Callable[[dict[str, torch.Tensor]], torch.Tensor]:
        """`loss` as a function of a batch, written out for a model in its adapter.

        `half`: multiply in bfloat16. It is never compiled: that takes longer than a night.
        """
        from dreamlab.models.minilm_pass import TrainingPass

        return TrainingPass(model, self.part_ids, POINTER, half).loss

    def loss(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean cross-entropy over the completions' tokens; prompts and padding do not count."""
        import torch

        return torch.nn.functional.cross_entropy(
            self.logits(model, batch).flatten(0, 1),
            batch["labels"].flatten(),
            ignore_index=IGNORED,
        )

    def logits(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The logits of the labels' positions of a training batch: [B, K, vocabulary]."""
        size = batch["labels"].shape[1]
        output = model(
            **{k: v for k, v in batch.items() if k not in ("labels", "copied")},
            logits_to_keep=size + 1,
            use_cache=False,
            output_hidden_states=True,
        )
        read = output.hidden_states[-1]
        writing = read[:, -size - 1 : -1]
        known = output.logits[:, :-1].float()
        return known + self._pointed(model, writing, read, batch["input_ids"], batch["copied"])

    def _pointed(
        self,
        model: Any,
        writing: torch.Tensor,
        read: torch.Tensor,
        ids: torch.Tensor,
        copied: torch.Tensor,
    ) -> torch.Tensor:
        """How much states written [B, K, H] point at the parts read: [B, K, vocabulary].

        `ids` [B, L] and `read` [B, L, H] are the tokens and states of the prompt, and `copied`
        [B, L] is True at its parts.
        """
        import torch

        writing = model.cls.predictions.transform(writing)
        scores = (writing @ read.transpose(1, 2)).float() * POINTER
        scores = scores.masked_fill(~copied[:, None], 0.0)
        index = ids[:, None].expand(-1, scores.shape[1], -1)
        size = (*scores.shape[:2], len(self.tokenizer))
        return torch.zeros(size, device=scores.device).scatter_add(2, index, scores)

    def _is_part(self, ids: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.isin(ids, torch.tensor(self.part_ids))

    def complete(self, model: Any, questions: Sequence[str]) -> list[str]:
        """The greedy completion of each question, without the end token.

        It holds parts of the prompt, each once, and `<none>`, and is free to be malformed.
        Questions of like length share a batch. What has not ended after `NEW_TOKENS` is returned
        as far as it went.
        """
        prompts = [self.prompt(question) for question in questions]
        written = by_length(prompts, BATCH, partial(self._write, model, _likeliest))
        return [self.tokenizer.decode([i for i in ids if i != self.end]) for ids in written]

    def sample(
        self, model: Any, questions: Sequence[str], times: int = 1, temperature: float = 1.0
    ) -> list[list[int]]:
        """Completions drawn at random, `times` for each question in turn, as token ids, the end
        token last.

        They hold what `complete` may write. Drawn by torch's own generator: `torch.manual_seed`
        and the same questions give the same completions. Each question is read once.
        """
        prompts = [self.prompt(question) for question in questions]
        draw = partial(_drawn, temperature)
        found: list[list[int]] = []
        for begin in range(0, len(prompts), BATCH):
            found += self._write(model, draw, prompts[begin : begin + BATCH], times)
        return found

    def writable(self, prompt: Sequence[int], written: Sequence[int] = ()) -> frozenset[int]:
        """The tokens that may follow what is written after a prompt: the prompt's own parts that
        are not written yet, `<none>` and the end."""
        return self._parts.intersection(prompt).difference(written) | {self.none, self.end}

    def allowed(self, begun: Sequence[tuple[Sequence[int], Sequence[int]]]) -> torch.Tensor:
        """`writable` for prompts and completions begun: True there, [N, vocabulary]."""
        import torch

        found = torch.zeros(len(begun), len(self.tokenizer), dtype=torch.bool)
        for i, (prompt, written) in enumerate(begun):
            found[i, list(self.writable(prompt, written))] = True
        return found

    def _write(
        self,
        model: Any,
        choose: Callable[[torch.Tensor], torch.Tensor],
        prompts: Sequence[list[int]],
        times: int = 1,
    ) -> list[list[int]]:
        """Completions of each prompt, whose tokens `choose` takes from scores [B, vocabulary]."""
        import torch

        lengths = [len(prompt) for prompt in prompts]
        size = max(lengths)
        ids = torch.full((len(prompts), size), self.tokenizer.pad_token_id)
        for i, prompt in enumerate(prompts):
            ids[i, size - len(prompt) :] = torch.tensor(prompt)
        mask, positions = _layout(lengths, lengths, size)
        parts = torch.tensor(self.part_ids)
        asked = ids.repeat_interleave(times, 0)
        seen = asked != self.tokenizer.pad_token_id
        asked, copied = asked.to(model.device), self._is_part(asked).to(model.device)
        read = None
        begun: list[tuple[list[int], list[int]]] = [(p, []) for p in prompts for _ in range(times)]
        written = [completion for _, completion in begun]
        going = set(range(len(written)))
        cache = None
        for step in range(NEW_TOKENS):
            output = model(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                position_ids=positions.to(model.device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
                output_hidden_states=True,
            )
            cache, states = output.past_key_values, output.hidden_states[-1]
            logits = output.logits.float()
            if read is None:  # a prompt is read once, however often it is completed
                cache.batch_repeat_interleave(times)
                logits, states = (x.repeat_interleave(times, 0) for x in (logits, states))
                read = states
            pointed = self._pointed(model, states[:, -1:], read, asked, copied)
            scores = (logits + pointed)[:, -1].cpu()[:, parts]
            allowed = self.allowed(begun)[:, parts]
            ids = parts[choose(scores.masked_fill(~allowed, -torch.inf))[:, None]]
            for i in sorted(going):
                token = int(ids[i, 0])
                written[i].append(token)
                if token == self.end:
                    going.discard(i)
            if not going:
                break
            seen = torch.cat([seen, torch.ones_like(ids, dtype=torch.bool)], dim=1)
            mask = seen[:, None, None]
            positions = torch.tensor([[n + step] for n in lengths for _ in range(times)])
        return written

    def _start(self, completion_format: CompletionFormat) -> None:
        """Give the added tokens their rows and make the head an identity on hidden states."""
        import torch

        head = self.model.cls.predictions
        inputs = self.model.get_input_embeddings().weight.data
        old = min(self.part_ids)
        values = [
            value.replace("_", " ") or kind for kind, value in completion_format.parts.values()
        ]
        with torch.no_grad():
            head.transform.dense.weight.copy_(torch.eye(inputs.shape[1]))
            head.transform.dense.bias.zero_()
            head.transform.LayerNorm.weight.fill_(1.0)
            head.transform.LayerNorm.bias.zero_()
            head.decoder.bias.zero_()  # PEFT leaves out the bias of a layer with trained rows
            head.decoder.weight[:old] = inputs[:old]
            for row, value in zip(self.part_ids, [_SAID.get(v, v) for v in values], strict=False):
                words = inputs[self._words(value)]
                inputs[row] = words.mean(0)
                state = self._read(value)
                head.decoder.weight[row] = state / state.norm() * words.norm(dim=-1).mean()
            inputs[self.end] = inputs[self.tokenizer.sep_token_id]
            head.decoder.weight[self.end] = inputs[self.tokenizer.sep_token_id]

    def _read(self, text: str) -> torch.Tensor:
        """The mean state of MiniLM, as an encoder, over a text: [hidden]."""
        import torch

        ids = self.prompt(text)
        mask, positions = _layout([len(ids)], [len(ids)], len(ids))
        states = self.model.bert(
            input_ids=torch.tensor([ids]), attention_mask=mask, position_ids=positions
        )
        mean: torch.Tensor = states.last_hidden_state[0].mean(0)
        return mean

    def _words(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids or [self.tokenizer.unk_token_id]


def _likeliest(scores: torch.Tensor) -> torch.Tensor:
    return scores.argmax(-1)


def _drawn(temperature: float, scores: torch.Tensor) -> torch.Tensor:
    return (scores / temperature).softmax(-1).multinomial(1)[:, 0]


def _layout(
    prompts: Sequence[int], lengths: Sequence[int], size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask [B, 1, L, L] and positions [B, L] of left-padded rows of these lengths, L being `size`.

    A prompt sees itself both ways, a completion everything before it. Padding sees only itself,
    which keeps the softmax finite.
    """
    import torch

    mask = torch.zeros(len(lengths), size, size, dtype=torch.bool)
    positions = torch.zeros(len(lengths), size, dtype=torch.long)
    causal = torch.ones(size, size, dtype=torch.bool).tril()
    for i, (p, n) in enumerate(zip(prompts, lengths, strict=True)):
        start = size - n
        mask[i] = causal
        mask[i, start : start + p, start : start + p] = True
        mask[i, :, :start] = False
        mask[i].fill_diagonal_(True)
        positions[i, start:] = torch.arange(n)
    return mask[:, None], positions
