"""How fast a base model is trained, against plain padded TRL and Unsloth, at equal held-out loss.

Dreams of the shipped directory are worded and read as on a night; every contender trains the same
LoRA adapter on them from the same start, in a process of its own:

- `plain`: TRL's SFTTrainer as it comes, rows in random order padded to the longest of a batch,
  logits of the whole vocabulary everywhere. The embedded model, whose reading and loss TRL does
  not know, is given to it in its plain form of transformers and PEFT. Activations are kept (TRL
  would compute them again, which is slower), in float32 on a CPU and bfloat16 on a GPU; with
  `--plain-bf16` in bfloat16 on a CPU too, TRL's own default.
- `ours`: what a night runs.
- `unsloth`, on a GPU and where it is installed: TRL's trainer on Unsloth's model.

Printed for each: real tokens (no padding) a second and a CPU second, which a busy machine disturbs
less, seconds of training in all, peak memory, held-out loss in the plain form,
seconds of training until it is within 2 % of what `plain` ends with, and MFU: 4 x weights x real
tokens (forward, and back to the activations; the head at labels only) a second, over what this
machine multiplies in large square matrices in the same type, measured in the same run.

    taskset -c 0,1 python benchmarks/finetune_speed.py
    taskset -c 0,1 python benchmarks/finetune_speed.py --only ours --epochs 4 --rows FILE
    python benchmarks/finetune_speed.py --model smollm2-135m --tiny --dreams 40
    bash benchmarks/gpu.sh
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from dreamlab.exploration.generator import dream
from dreamlab.exploration.rewording import reword
from dreamlab.exploration.strategies import open_cells
from dreamlab.lab import Lab
from dreamlab.models.decoder import best_device, half, load_start
from dreamlab.settings import EMBEDDED, Settings
from dreamlab.training.frame import Job, adapted_model, arguments
from dreamlab.training.order import BATCH
from dreamlab.training.sft import supervised

KINDS: dict[str, dict[str, Any]] = {
    "qwen3-0.6b": {
        "model_type": "qwen3",
        "vocab_size": 151936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40960,
        "rms_norm_eps": 1e-6,
    },
    "smollm2-135m": {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
    },
}
"""Architectures of real small language models, to be filled with random weights."""

TINY = {
    "vocab_size": 2048,
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDINGS = 5
HELD_OUT = 64
LOOKS = 6
"""How often the held-out loss is looked at while training."""

NEAR = 1.02
WARM = 3
"""First steps, left out of the speed."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=EMBEDDED, help=f"embedded, {', '.join(KINDS)} or a path")
    parser.add_argument("--tiny", action="store_true", help="a two-layer model of the kind")
    parser.add_argument("--dreams", type=int, default=160, help=f"each in {WORDINGS} wordings")
    parser.add_argument("--rows", type=Path, help="a night's dataset.jsonl instead of dreams")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--compile", action="store_true", help="compile our layers")
    parser.add_argument("--plain-bf16", action="store_true", help="plain in bfloat16 on a CPU too")
    parser.add_argument("--only", choices=("plain", "ours", "unsloth"), help="one contender alone")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(contend(options)))
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        options.place = Path(place)
        prepare(options)
        names = [options.only] if options.only else ["plain", "ours", "unsloth"]
        found = {name: apart(options, name) for name in names}
    report(options, found)


def prepare(options: argparse.Namespace) -> None:
    """Leaves the rows to learn, those held out and, where it is made here, the model."""
    if options.rows:
        known = [json.loads(line) for line in options.rows.read_text().splitlines()]
        held_out = known[:: len(known) // HELD_OUT]
        learnt = [row for row in known if row not in held_out]
    else:
        lab = Lab(Settings(home=options.place / "home"))
        learnt = rows_of(lab, "learnt", options.dreams, options.seed, WORDINGS)
        said = {row["prompt"] for row in learnt}
        held_out = rows_of(lab, "other", HELD_OUT, options.seed + 1, 1)
        held_out = [row for row in held_out if row["prompt"] not in said]
    (options.place / "rows.json").write_text(json.dumps([learnt, held_out]))
    if options.model in KINDS:
        make_model(options, [" ".join(row.values()) for row in learnt])


def rows_of(lab: Lab, night: str, count: int, seed: int, wordings: int) -> list[dict[str, str]]:
    """Dreams with a known answer, read and worded as a night does."""
    cells = list(open_cells(lab.catalog))
    Random(seed).shuffle(cells)
    tasks = dream(night, count, seed, cells, lab.catalog, lab.phrases).tasks
    tasks = tuple(t for t in tasks if t.expected and lab.format.covers(t.expected))
    texts = reword(tasks, [wordings] * len(tasks), seed, lab.catalog, lab.phrases)
    said = [(text, t.expected) for t, several in zip(tasks, texts, strict=True) for text in several]
    clues = lab.evidence.read([text for text, _ in said])
    return [
        {"prompt": clue.prompt, "completion": lab.format.encode(expected)}
        for clue, (_, expected) in zip(clues, said, strict=True)
        if expected
    ]


def make_model(options: argparse.Namespace, texts: list[str]) -> None:
    """A model of the true architecture with random weights, and a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    given = {**KINDS[options.model], **(TINY if options.tiny else {})}
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=given["vocab_size"],
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token=special[2], pad_token=special[0]
    )
    tokenizer.chat_template = CHAT
    torch.manual_seed(options.seed)
    config = AutoConfig.for_model(
        **given,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
        dtype="bfloat16",
    )
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(
        options.place / "model"
    )
    tokenizer.save_pretrained(options.place / "model")


def apart(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """A contender's figures from a process of its own, or why there are none."""
    if name == "unsloth":
        if best_device() != "cuda":
            return {"skipped": "needs a GPU"}
        if options.model == EMBEDDED:
            return {"skipped": "does not know the embedded model"}
        if not find_spec("unsloth"):
            return {"skipped": "not installed"}
    command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:]]
    command += ["--one", name, "--place", str(options.place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and name != "unsloth":
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    if done.returncode:
        return {"skipped": (done.stderr.strip().splitlines() or ["it failed"])[-1][:120]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def contend(options: argparse.Namespace) -> dict[str, Any]:
    """Trains as one contender; its figures."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    trainer, start, low = CONTENDERS[options.one](options, job_of(options))
    import torch

    watch = Watch(options, trainer, start)
    trainer.train()
    watch.look(trainer.state.global_step)
    memory = (
        watch.memory
        if torch.cuda.is_available()
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    rate = multiplied(torch, low)
    tokens, labels, seconds = watch.speed()
    flops = 4 * (weights(start) * tokens + head(start) * labels)
    return {
        "tokens_per_second": tokens / seconds,
        "tokens_per_cpu_second": tokens / (watch.spent_cpu - watch.warm_cpu),
        "seconds": watch.spent,
        "step_seconds": seconds / (trainer.state.global_step - WARM),
        "memory_gib": memory / 2**30,
        "losses": watch.losses,
        "mfu": flops / seconds / rate,
        "matmul_tflops": rate / 1e12,
        "type": "bfloat16" if low else "float32",
        "steps": trainer.state.global_step,
    }


def job_of(options: argparse.Namespace) -> Job:
    made = options.place / "model"
    settings = Settings(
        home=options.place / "home",
        base_model=str(made) if made.is_dir() else options.model,
        training_epochs=options.epochs,
        learning_rate=options.rate,
        training_compile=options.compile,
    )
    lab = Lab(settings)
    learnt, _ = json.loads((options.place / "rows.json").read_text())
    start = load_start(
        settings.base_model, lab.format, settings, training=options.one != "plain" or on_gpu()
    )
    work = options.place / f"work-{options.one}"
    return Job("sft", learnt, start, lab.format, settings, work, None, options.seed)


def ours(options: argparse.Namespace, job: Job) -> tuple[Any, Any, bool]:
    trainer = supervised(job)
    trainer.args.save_strategy = "no"
    return trainer, job.start, half(job.settings)


def plain(options: argparse.Namespace, job: Job) -> tuple[Any, Any, bool]:
    """TRL as it comes: random order, padding to the longest, every logit."""
    low = on_gpu() or options.plain_bf16
    model = adapted_model(job)
    if job.start.name == "all-MiniLM-L6-v2":
        return plain_embedded(job, model, low), job.start, low
    return stock(job, model, low), job.start, low


def stock(job: Job, model: Any, low: bool) -> Any:
    from datasets import Dataset
    from trl import SFTTrainer

    rows = [
        {"input_ids": ids, "labels": [-100] * p + ids[p:]}
        for ids, p in encoded(job.start, job.rows)
    ]
    return SFTTrainer(
        model=model,
        args=stock_arguments(job, low),
        train_dataset=Dataset.from_list(rows),
        processing_class=job.start.tokenizer,
    )


def plain_embedded(job: Job, model: Any, low: bool) -> Any:
    from datasets import Dataset
    from torch.nn import functional
    from trl import SFTTrainer

    start = job.start

    class Trainer(SFTTrainer):
        """TRL's trainer over the embedded model's own tensors."""

        def compute_loss(self, model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
            output = model(
                **{k: v for k, v in inputs.items() if k not in ("labels", "copied")},
                use_cache=False,
                output_hidden_states=True,
            )
            labels = inputs["labels"]
            count, read = labels.shape[1], output.hidden_states[-1].float()
            logits = output.logits.float()
            pointed = start._pointed(
                model, read[:, -count - 1 : -1], read, inputs["input_ids"], inputs["copied"]
            )
            everywhere = functional.pad(labels, (logits.shape[1] - 1 - count, 0), value=-100)
            logits[:, -count - 1 : -1] = logits[:, -count - 1 : -1] + pointed
            return functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), everywhere.flatten(), ignore_index=-100
            )

    rows = [{"input_ids": ids, "prompt": p} for ids, p in encoded(start, job.rows)]
    return Trainer(
        model=model,
        args=stock_arguments(job, low),
        data_collator=start.collate,
        train_dataset=Dataset.from_list(rows),
        processing_class=start.tokenizer,
    )


def unsloth(options: argparse.Namespace, job: Job) -> tuple[Any, Any, bool]:
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        model_name=job.settings.base_model, max_seq_length=1024, load_in_4bit=False
    )
    rank = job.settings.lora_rank
    model = FastLanguageModel.get_peft_model(
        model,
        r=rank,
        lora_alpha=rank,
        target_modules=[f"{n}_proj" for n in ("q", "k", "v", "o", "gate", "up", "down")],
        use_gradient_checkpointing=False,
        random_state=job.seed,
    )
    return stock(job, model, True), job.start, True


CONTENDERS = {"plain": plain, "ours": ours, "unsloth": unsloth}


def stock_arguments(job: Job, low: bool) -> Any:
    from trl import SFTConfig

    steps = math.ceil(math.ceil(len(job.rows) * job.settings.training_epochs) / BATCH)
    given = {
        **arguments(job, steps),
        "bf16": low,
        "save_strategy": "no",
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
    }
    return SFTConfig(**given)


def encoded(start: Any, rows: list[dict[str, str]]) -> list[tuple[list[int], int]]:
    found = []
    for row in rows:
        prompt = start.prompt(row["prompt"])
        found.append(([*prompt, *start.completion(row["completion"])], len(prompt)))
    return found


class Watch:
    """Counts real tokens, and looks at the held-out loss now and then with the clock stopped."""

    def __init__(self, options: argparse.Namespace, trainer: Any, start: Any) -> None:
        import torch
        from transformers import TrainerCallback

        self.torch, self.trainer, self.start = torch, trainer, start
        held_out = json.loads((options.place / "rows.json").read_text())[1]
        rows = [{"input_ids": ids, "prompt": p} for ids, p in encoded(start, held_out)]
        self.held_out = [start.collate(rows[i : i + 4]) for i in range(0, len(rows), 4)]
        self.losses: list[tuple[float, float]] = []
        self.lengths: list[int] = []
        self.labels: list[int] = []
        self.spent = self.spent_cpu = 0.0
        self.warm = self.warm_cpu = 0.0
        self.since = self.since_cpu = 0.0
        self.memory = 0
        watch = self
        every = max(1, trainer.args.max_steps // LOOKS)
        collate = trainer.data_collator

        def counted(rows: list[dict[str, Any]]) -> Any:
            watch.lengths.append(sum(len(row["input_ids"]) for row in rows))
            watch.labels.append(
                sum(
                    len(row["input_ids"]) - row["prompt"]
                    if "prompt" in row
                    else sum(label != -100 for label in row["labels"])
                    for row in rows
                )
            )
            return collate(rows)

        class Callback(TrainerCallback):
            """Keeps the clock."""

            def on_train_begin(self, *_: Any, **__: Any) -> None:
                watch.go_on()

            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                watch.pause()
                if state.global_step == WARM:
                    watch.warm, watch.warm_cpu = watch.spent, watch.spent_cpu
                if state.global_step % every == 0 and state.global_step < state.max_steps:
                    watch.look(state.global_step)
                watch.go_on()

        trainer.data_collator = counted
        trainer.add_callback(Callback())

    def go_on(self) -> None:
        """Starts the clock, and the measure of memory on a GPU."""
        if self.torch.cuda.is_available():
            self.torch.cuda.reset_peak_memory_stats()
        self.since, self.since_cpu = time.perf_counter(), time.process_time()

    def pause(self) -> None:
        """Stops the clock and adds what was spent."""
        if self.torch.cuda.is_available():
            self.torch.cuda.synchronize()
            self.memory = max(self.memory, self.torch.cuda.max_memory_allocated())
        self.spent += time.perf_counter() - self.since
        self.spent_cpu += time.process_time() - self.since_cpu

    def look(self, step: int) -> None:
        """Notes the held-out loss, by the start model's plain form."""
        model = self.trainer.model
        model.eval()
        total = count = 0.0
        with self.torch.no_grad():
            for batch in self.held_out:
                labels = int((batch["labels"] != -100).sum())
                there = {name: tensor.to(model.device) for name, tensor in batch.items()}
                total += float(self.start.loss(model, there)) * labels
                count += labels
        model.train()
        self.losses.append((self.spent, total / count))

    def speed(self) -> tuple[int, int, float]:
        """Real tokens, labels and seconds of the steps after the first few."""
        steps = self.trainer.state.global_step
        tokens, labels = sum(self.lengths[WARM:steps]), sum(self.labels[WARM:steps])
        return tokens, labels, self.spent - self.warm


def weights(start: Any) -> int:
    """Weights that every real token is multiplied with: all but embeddings and head."""
    known = {id(start.model.get_input_embeddings()), id(start.model.get_output_embeddings())}
    return sum(
        p.numel()
        for module in start.model.modules()
        if id(module) not in known
        for name, p in module.named_parameters(recurse=False)
        if p.ndim == 2 and "lora_" not in name and "embedding" not in type(module).__name__.lower()
    )


def head(start: Any) -> int:
    return int(start.model.get_output_embeddings().weight.numel())


def multiplied(torch: Any, low: bool) -> float:
    """Operations a second in products of large square matrices, the best of five."""
    size = 8192 if torch.cuda.is_available() else 2048
    dtype = torch.bfloat16 if low else torch.float32
    left = torch.randn(size, size, device=best_device(), dtype=dtype)
    best = math.inf
    for _ in range(6):
        started = time.perf_counter()
        left @ left
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def on_gpu() -> bool:
    return best_device() == "cuda"


def report(options: argparse.Namespace, found: dict[str, dict[str, Any]]) -> None:
    import torch

    device = torch.cuda.get_device_name() if on_gpu() else platform.processor() or "CPU"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = ("torch", "transformers", "trl", "peft")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    size = " (two layers)" if options.tiny else ""
    print(f"{options.model}{size} on {device}, {cores} cores; {versions}")
    base = found[options.only or "plain"]
    if "skipped" in base:
        raise SystemExit(f"{options.only} was skipped: {base['skipped']}")
    target = base["losses"][-1][1] * NEAR
    print(f"{base['steps']} steps of {BATCH} rows; held-out loss to reach: {target:.4f}\n")
    print("| | type | tokens/s | against plain | tokens/CPU s | training | peak memory ", end="")
    print("| held-out loss | reached in | MFU |")
    print("|---" * 10 + "|")
    for name, one in found.items():
        if "skipped" in one:
            print(f"| {name} | skipped: {one['skipped']} {'| ' * 9}|")
            continue
        reached = next((f"{s:.1f} s" for s, loss in one["losses"] if loss <= target), "never")
        print(
            f"| {name} | {one['type']} | {one['tokens_per_second']:,.0f} "
            f"| x {one['tokens_per_second'] / base['tokens_per_second']:.2f} "
            f"| {one['tokens_per_cpu_second']:,.0f} "
            f"(x {one['tokens_per_cpu_second'] / base['tokens_per_cpu_second']:.2f}) "
            f"| {one['seconds']:.0f} s | {one['memory_gib']:.2f} GiB "
            f"| {one['losses'][-1][1]:.4f} | {reached} "
            f"| {one['mfu']:.1%} of {one['matmul_tflops']:.2f} TFLOP/s |"
        )
    if options.json:
        options.json.write_text(json.dumps({"device": device, **found}, indent=1))


if __name__ == "__main__":
    main()
