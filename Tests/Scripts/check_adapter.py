#!/usr/bin/env python3
"""Loads what `arpo-replay learn` writes with transformers and PEFT, and compares log-probabilities with the engine's.

    python3 Tests/Scripts/check_adapter.py [--tool .build/debug/arpo-replay] [--goldens Fixtures/goldens]

Trains a small LoRA adapter (with alpha/r and with rslora) and a small checkpoint in full, on a log made here, for each
kind of checkpoint in the goldens; then lets the tool score the same log with what came out, and transformers + PEFT do
the same. Needs torch, transformers, peft and safetensors; says so and ends with code 0 where they are missing.
Exit code 1: the numbers differ by more than the limit, or the training changed nothing.
"""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

LIMIT = 5e-5  # the goldens' limit for log-probabilities, max abs
HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(HERE))

parser = argparse.ArgumentParser()
parser.add_argument("--tool", default=os.path.join(CHECKOUT, ".build", "debug", "arpo-replay"))
parser.add_argument("--goldens", default=os.environ.get("ARPO_GOLDENS", os.path.join(CHECKOUT, "Fixtures", "goldens")))
arguments = parser.parse_args()

try:
    import peft
    import torch
    import transformers
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(0)


transformers.utils.logging.disable_progress_bar()


def make_log(path, vocabulary, groups=6):
    """One trajectory a group, so that trained tokens stand in the scores in the order of the path."""
    generator = random.Random(3)
    rows = []
    with open(path, "w") as out:
        for g in range(groups):
            prompt = [generator.randrange(vocabulary) for _ in range(generator.randint(1, 5))]
            tokens = [generator.randrange(vocabulary) for _ in range(generator.randint(6, 20))]
            mask = [1] * len(tokens)
            mask[2:4] = [0, 0]
            out.write(json.dumps({"kind": "group", "group_id": f"g{g}", "prompt_token_ids": prompt}) + "\n")
            out.write(json.dumps({
                "schema": "arpo-rollout/1", "kind": "trajectory", "group_id": f"g{g}", "trajectory_id": f"t{g}",
                "token_ids": tokens, "loss_mask": mask, "reward": 1.0}) + "\n")
            rows.append((prompt, tokens, mask))
    return rows


def run(*command):
    done = subprocess.run([arguments.tool, *command], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        sys.exit(1)


def learn(folder, out, checkpoint, *more):
    run("learn", os.path.join(folder, "runs.db"), "--policy", checkpoint, "--out", os.path.join(folder, out), "--loss", "sft",
        "--held-out", "0", "--no-shuffle", "--keep-checkpoints", "--quiet", *more)


def read_scores(path):
    """Floats by group; the layout is described in ScoreFile.swift."""
    data = open(path, "rb").read()
    length, count, magic = struct.unpack("<QQQ", data[-24:])
    assert magic == 0x325345524F435341, "not a file of scores"
    end = len(data) - 24 - length
    ends = struct.unpack(f"<{count}Q", data[end - 8 * count:end])
    starts = (0,) + ends[:-1]
    return [struct.unpack(f"<{(e - s) // 4}f", data[s:e]) for s, e in zip(starts, ends)]


@torch.no_grad()
def logprobs(model, rows):
    out = []
    for prompt, tokens, mask in rows:
        ids = torch.tensor([prompt + tokens])
        logits = model(input_ids=ids).logits[0].double()
        values = torch.log_softmax(logits, -1)
        places = [len(prompt) + i for i, m in enumerate(mask) if m]
        out.append([values[p - 1, ids[0, p]].item() for p in places])
    return out


def difference(a, b):
    assert [len(x) for x in a] == [len(x) for x in b]
    return max(abs(x - y) for r, s in zip(a, b) for x, y in zip(r, s))


def check(name, engine, theirs, before):
    error, moved = difference(engine, theirs), difference(theirs, before)
    good = error <= LIMIT and moved > 100 * LIMIT
    print(f"{'ok' if good else 'FAILED'}: {name}: max |engine - transformers| {error:.1e} (limit {LIMIT:.0e}), "
          f"training moved log-probabilities by up to {moved:.2f}")
    return good


def load(directory):
    return transformers.AutoModelForCausalLM.from_pretrained(directory, torch_dtype=torch.float32).eval()


good = True
for model in ("qwen2-tiny", "llama-tiny", "qwen3-tiny", "llama-rope-scaled-f16"):
    checkpoint = os.path.join(arguments.goldens, "policy", model, "checkpoint")
    vocabulary = json.load(open(os.path.join(checkpoint, "config.json")))["vocab_size"]
    with tempfile.TemporaryDirectory() as folder:
        rows = make_log(os.path.join(folder, "log.jsonl"), vocabulary)
        run("import", os.path.join(folder, "runs.db"), os.path.join(folder, "log.jsonl"), "--quiet")
        before = logprobs(load(checkpoint), rows)
        for label, flags in (("adapter", []), ("adapter with rslora", ["--rslora", "--targets", "q_proj,down_proj"])):
            out = label.replace(" ", "-")
            learn(folder, out, checkpoint, "--rank", "4", "--learning-rate", "0.02", "--epochs", "8", *flags)
            adapter = os.path.join(folder, out)
            # The starting policy's scores of a run that begins with the adapter.
            learn(folder, out + "-scored", checkpoint, "--adapter", adapter, "--max-updates", "1")
            engine = read_scores(os.path.join(folder, out + "-scored", "scores", "start.scores"))
            theirs = logprobs(peft.PeftModel.from_pretrained(load(checkpoint), adapter).eval(), rows)
            good &= check(f"{model}, {label}", engine, theirs, before)
        learn(folder, "full", checkpoint, "--train", "full", "--learning-rate", "0.003", "--epochs", "8")
        full = os.path.join(folder, "full")
        learn(folder, "full-scored", full, "--rank", "4", "--max-updates", "1")
        engine = read_scores(os.path.join(folder, "full-scored", "scores", "start.scores"))
        good &= check(f"{model}, all parameters", engine, logprobs(load(full), rows), before)
print(f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}")
sys.exit(0 if good else 1)
