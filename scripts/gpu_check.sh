#!/bin/sh
# What only a GPU can show, in less than ten minutes: a step is that of the CPU, waits once and takes
# so long; VLD and HD are trained for a while, go on after a stop, and are scored; with two GPUs, two
# processes train together. Everything is printed; what failed is listed at the end (exit code 1).
#
#     scripts/gpu_check.sh                                            # on a GPU
#     DEVICE=cpu STEPS=2 TIMED=1 BATCHES=2 CLIPS=1 scripts/gpu_check.sh    # tries the script itself
#
# The package is installed for $PYTHON.
set -u
cd "$(dirname "$0")/.." || exit 1
PYTHON=${PYTHON:-python3}
DEVICE=${DEVICE:-cuda}
STEPS=${STEPS:-200}      # of each training
TIMED=${TIMED:-20}       # steps timed for each batch
BATCHES=${BATCHES:-4 16 64}
CLIPS=${CLIPS:-16}       # scored
LIMIT=${LIMIT:-540}      # seconds in all
OUT=${OUT:-$(mktemp -d)} # runs are written here
export PYTHONUNBUFFERED=1

begin=$(date +%s)
failed=

# piece NAME COMMAND...: run it in the time that is left, and remember whether it failed.
piece() {
    name=$1
    shift
    left=$((LIMIT - $(date +%s) + begin))
    echo
    echo "== $name ($left s left)"
    if [ "$left" -le 0 ]; then
        failed="$failed; $name (no time left)"
        return
    fi
    timeout "$left" "$@" || failed="$failed; $name (exit code $?)"
}

scalor_ppl() {
    echo "from scalor_ppl.cli.main import run; run()"
}

# trained NAME PRESET: train, go on for as many steps again, say how fast and how well.
trained() {
    piece "$1: $STEPS steps" "$PYTHON" -c "$(scalor_ppl)" train --config "$2" --device "$DEVICE" \
        --steps "$STEPS" --set train.log_every=10 --set train.image_every=0 --out "$OUT/$1"
    piece "$1: goes on to step $((2 * STEPS))" "$PYTHON" -c "$(scalor_ppl)" train --resume \
        --device "$DEVICE" --steps "$((2 * STEPS))" --out "$OUT/$1"
    piece "$1: figures" "$PYTHON" - "$OUT/$1/metrics.jsonl" <<'END'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
first, last = lines[0], lines[-1]
names = ("loss", "log_likelihood", "objects", "gradient_norm", "skipped")
for name in names:
    print(f"  {name}: {first[name]:.4g} at step {first['step']}, {last[name]:.4g} at {last['step']}")
if len(lines) > 1:
    # A stop and a start lie between some lines: the median does not see them.
    pairs = list(zip(lines, lines[1:]))
    each = sorted((b["seconds"] - a["seconds"]) / (b["step"] - a["step"]) for a, b in pairs)
    print(f"  median step {1000 * each[len(each) // 2]:.1f} ms, of clips that grow")
END
    piece "$1: scores" "$PYTHON" -c "$(scalor_ppl)" evaluate "$OUT/$1" --device "$DEVICE" \
        --clips "$CLIPS"
}

command -v nvidia-smi >/dev/null && nvidia-smi
piece versions "$PYTHON" - <<'END'
import torch
print(f"  torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
for number in range(torch.cuda.device_count()):
    print(f"  {number}: {torch.cuda.get_device_name(number)}")
END
for preset in moving-dsprites-vld moving-dsprites-hd; do
    # shellcheck disable=SC2086  # several batches are several words
    piece "step of $preset" "$PYTHON" scripts/gpu_step.py "$preset" --device "$DEVICE" \
        --steps "$TIMED" --batches $BATCHES
done
trained vld moving-dsprites-vld
trained hd moving-dsprites-hd
gpus=$("$PYTHON" -c "import torch; print(torch.cuda.device_count())")
if [ "$gpus" -ge 2 ]; then
    piece "two GPUs together" "$PYTHON" -m torch.distributed.run --standalone --nproc-per-node 2 \
        --no-python "$PYTHON" -c "$(scalor_ppl)" train --config moving-dsprites-vld \
        --steps "$STEPS" --set train.log_every=10 --out "$OUT/two"
fi

echo
echo "== $(($(date +%s) - begin)) s, runs in $OUT"
if [ -n "$failed" ]; then
    echo "FAILED${failed#;}" | sed 's/FAILED /FAILED: /'
    exit 1
fi
echo "all went well"
