#!/usr/bin/env bash
# Speed of training on the GPU of this machine, every model in one call of under ten minutes.
# Run it in the environment that the lab is installed in: bash benchmarks/gpu.sh [python]
set -u
cd "$(dirname "$0")/.."
python="${1:-python}"
out="${OUT:-$(mktemp -d)}"
"$python" -c 'import torch; assert torch.cuda.is_available(), "no GPU"' || exit 1

run() {
    local limit="$1" name="$2"
    shift 2
    echo "## $name"
    timeout "$limit" "$python" -W ignore benchmarks/finetune_speed.py --json "$out/$name.json" "$@" \
        2>"$out/$name.err" | tee "$out/$name.md"
    [ "${PIPESTATUS[0]}" -eq 0 ] || { echo "$name did not end well:"; tail -n 3 "$out/$name.err"; }
}

run 120 embedded --model embedded --dreams 160
run 160 smollm2-135m --model smollm2-135m --dreams 120 --rate 5e-4
run 220 qwen3-0.6b --model qwen3-0.6b --dreams 120 --rate 5e-4
run 90 qwen3-0.6b-compiled --model qwen3-0.6b --dreams 60 --rate 5e-4 --compile
echo "tables and figures are in $out"
