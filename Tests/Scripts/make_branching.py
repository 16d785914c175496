#!/usr/bin/env python3
"""Writes Fixtures/branching: rollouts sampled by ARPO's and AEPO's loops, written down with every draw.

    python3 Tests/Scripts/make_branching.py Fixtures/branching

The loops below are written after the descriptions of the published code (vllm_rollout_with_tools.py of ARPO and AEPO) and
papers, not after this repository's Swift: what both do must agree decision by decision.

    draws.jsonl      an arpo-rollout/1 log of two runs by ARPO's code rule. `branch` says why a fork was taken;
                     `branch_decisions` on the trajectory that could fork says of every attempt where it lay (`at`, the index
                     behind the tool result), H at the start and now, the probability, the draw, and what was done.
    machine.json     rounds of the loops: what was seen of each segment, the draws, and what follows (decisions, actions).

Python's standard library only; the same files every time.
"""
import json
import math
import random
import struct
import sys
from pathlib import Path

VOCAB = 1000


def f32(x):
    """The double that a float32 holds, so that storing it loses nothing."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


# ---- A policy ---------------------------------------------------------------------------------------------------------

def generate(rng, tokens, unsure, top_k):
    """One segment: ids, sampled logprobs, candidates. `unsure` in 0..1 spreads the probabilities."""
    ids, lps, tops = [], [], []
    for _ in range(tokens):
        weights = [math.exp(-(3.0 - 2.8 * unsure) * j - 0.3 * rng.random()) for j in range(top_k + 2)]
        total = sum(weights) * (1.02 + 0.1 * rng.random())
        cand = rng.sample(range(VOCAB), top_k + 2)
        probs = [f32(math.log(w / total)) for w in weights]
        pick = rng.choices(range(top_k + 2), weights)[0]
        order = sorted(range(top_k + 2), key=lambda j: -probs[j])[:top_k]
        ids.append(cand[pick])
        lps.append(probs[pick])
        tops.append([(cand[j], probs[j]) for j in order])
    return ids, lps, tops


def arpo_h(ids, lps, tops, window, top_k):
    """Sum over the first positions of -p ln p over the largest candidates and the sampled token, over ln V."""
    total = 0.0
    for i in range(min(window, len(ids))):
        used = tops[i][:top_k]
        total -= sum(math.exp(l) * l for _, l in used)
        if ids[i] not in [c for c, _ in used]:
            total -= math.exp(lps[i]) * lps[i]
    return total / math.log(VOCAB)


# ---- ARPO's loop with a log -------------------------------------------------------------------------------------------

class Rollout:
    def __init__(self, parent=None, at=0, calls=0, why=None):
        self.parent, self.branch, self.calls, self.why = parent, at, calls, why
        self.at = at                                   # response length so far
        self.segments, self.decisions = [], []
        self.base = self.now = None
        self.ids, self.mask, self.lps, self.tops = [], [], [], []


def sample_group(rng, cfg):
    n, initial, z = cfg["rollouts"], cfg["initial_rollouts"], cfg["beam_size"] - 1
    bp, w, limit = cfg["branch_probability"], cfg["entropy_weight"], cfg.get("call_limit")
    out = [Rollout() for _ in range(min(initial, n))]
    active = list(range(len(out)))
    while active:
        going = []
        for i in active:
            r = out[i]
            ids, lps, tops = generate(rng, rng.randint(2, 9), rng.random(), cfg["top_k"])
            r.now = arpo_h(ids, lps, tops, cfg["window_tokens"], cfg["top_k"])
            if r.base is None:
                r.base = r.now
            start = r.at
            r.at += len(ids)
            r.ids += ids
            r.lps += lps
            r.tops += tops
            r.mask += [1] * len(ids)
            ends = rng.random() < 0.3
            if ends or (limit is not None and r.calls >= limit):
                r.segments.append(("answer" if ends else "tool_call", start, r.at, None if ends else "search"))
                continue
            tool = rng.choice(["search", "python"])
            r.segments.append(("tool_call", start, r.at, tool))
            result = [rng.randrange(VOCAB) for _ in range(rng.randint(1, 5))]
            r.segments.append(("tool_result", r.at, r.at + len(result), tool))
            r.at += len(result)
            r.ids += result
            r.lps += [None] * len(result)
            r.tops += [[] for _ in result]
            r.mask += [0] * len(result)
            r.calls += 1
            going.append(i)
        new = []
        remaining, created = n - len(out), 0
        for i in going:
            r = out[i]
            for _ in range(min(z, remaining - created)):
                dh = r.now - r.base
                p = min(1.0, max(0.0, bp + w * dh))
                u = f32(rng.random())
                while abs(u - p) < 1e-3:
                    u = f32(rng.random())
                took = min(1.0, max(0.0, u - w * dh)) <= bp
                why = {"entropy_initial": r.base, "entropy_now": r.now, "probability": p, "draw": u}
                r.decisions.append({"at": r.at, **why, "branched": took})
                if took:
                    new.append(Rollout(i, r.at, r.calls, {"reason": "entropy", **why}))
                    created += 1
        if not going and len(out) < n:
            new.append(Rollout())
        first = len(out)
        out += new
        active = going + list(range(first, len(out)))
    return out


def write_log(path, seed):
    rng = random.Random(seed)
    lines = []
    runs = [
        ("draws-a", {"algorithm": "arpo", "initial_rollouts": 3, "rollouts": 8, "beam_size": 2, "branch_probability": 0.4,
                     "entropy_weight": 0.8, "window_tokens": 5, "top_k": 4}, 9),
        ("draws-b", {"algorithm": "arpo", "initial_rollouts": 4, "rollouts": 12, "beam_size": 3, "branch_probability": 0.3,
                     "entropy_weight": 1.5, "window_tokens": 4, "top_k": 5, "call_limit": 3}, 7),
    ]
    for name, cfg, groups in runs:
        lines.append({"schema": "arpo-rollout/1", "kind": "run", "run_id": name, "algorithm": "arpo", "model": "synthetic",
                      "tokenizer": {"name": "synthetic", "vocab_size": VOCAB}, "sampling": {"temperature": 1.0},
                      "logprobs_mode": "processed_logprobs", "branching": cfg})
        for g in range(groups):
            skill = rng.random()
            records = []
            for i, r in enumerate(sample_group(rng, cfg)):
                gid = f"{name}/g{g}"
                records.append({
                    "kind": "trajectory", "run_id": name, "group_id": gid, "trajectory_id": f"{gid}/{i}", "rollout_index": i,
                    "parent_id": None if r.parent is None else f"{gid}/{r.parent}",
                    "branch_token_index": None if r.parent is None else r.branch, "branch": r.why,
                    "branch_decisions": r.decisions or None, "data_source": ["hotpotqa", "aime"][g % 2],
                    "token_ids": r.ids, "loss_mask": r.mask, "logprobs": r.lps,
                    "top_logprobs": {"counts": [len(t) for t in r.tops], "token_ids": [c for t in r.tops for c, _ in t],
                                     "logprobs": [l for t in r.tops for _, l in t]},
                    "segments": [dict(kind=k, start=s, end=e, **({"tool": t} if t else {})) for k, s, e, t in r.segments],
                    "reward": float(rng.random() < skill)})
            # Children may come before their parents.
            if g % 3 == 2:
                records.reverse()
            lines += [{k: v for k, v in rec.items() if v is not None} for rec in records]
    path.write_text("".join(json.dumps(x, separators=(",", ":")) + "\n" for x in lines))


# ---- The loops alone: what is seen, what follows ----------------------------------------------------------------------

def known(xs):
    xs = [x for x in xs if x is not None]
    return sum(xs) if xs else None


def paired(now, initial):
    pairs = [(a, b) for a, b in zip(now, initial) if a is not None and b is not None]
    return sum(a - b for a, b in pairs) if pairs else None


def loop(rng, rule, n, initial, z, norm, timing, limit, others):
    """Rounds of one prompt. rule: ("arpo-code", bp, w) | ("arpo-paper", alpha, beta, tau) | ("aepo-code", bp, w) |
    ("aepo-paper", alpha, gamma, tau, slope)."""
    name, paper = rule[0], rule[0].endswith("paper")
    out, rounds, l = [], [], 0

    def begin(parent=None, segments=0, calls=0, first=None):
        out.append({"parent": parent, "inherited": segments, "segments": segments, "calls": calls, "base": None, "first": first})
        return len(out) - 1

    for _ in range(min(initial, n)):
        begin()
    active = list(range(len(out)))
    start = [["begin", i, limit] for i in active]
    while active:
        seen, going, decisions, actions = [], [], [], []
        for i in active:
            s = out[i]
            h = [None if rng.random() < 0.1 else round(rng.random() * 3, 3) for _ in range(rng.randint(1, 4))]
            after = [None if rng.random() < 0.1 else round(rng.random() * 3, 3) for _ in range(rng.randint(1, 4))]
            end = rng.random() < 0.25 or (limit is not None and s["calls"] >= limit)
            s["segments"] += 1
            s["base"] = h if s["base"] is None else s["base"]
            s["first"] = h if s["first"] is None else s["first"]
            s["last"], s["after"] = h, after
            if not end:
                s["calls"] += 1
                going.append(i)
            seen.append({"rollout": i, "entropies": h, "after": None if end else after, "ending": "finished" if end else "calls",
                         "draws": []})
        before = len(out)
        remaining, created = n - len(out), 0
        for i in going:
            s = out[i]
            now = s["last"] if timing == "lagged" else s["after"]
            if paper:
                dh = paired(now, s["first"])
            else:
                a, b = known(now), known(s["base"])
                dh = None if a is None or b is None else a / norm - b / norm
            dh = dh if dh is None or not paper else dh / norm
            tries = min(z, remaining - created)
            if tries <= 0:
                decisions.append([i, dh, "no-budget", None])
                continue
            for _ in range(tries):
                u = round(rng.random(), 6)
                if dh is None:
                    decisions.append([i, None, "unknown", None])
                    seen[[x["rollout"] for x in seen].index(i)]["draws"].append(u)
                    continue
                if name == "arpo-code":
                    took = not (max(0.0, min(1.0, u - rule[2] * dh)) > rule[1])
                elif name == "aepo-code":
                    took = not (max(0.0, min(1.0, (u + rule[2] * dh) * max(0.0, 1.0 - 0.05 * l))) < rule[1])
                elif name == "arpo-paper":
                    took = rule[1] + rule[2] * dh > rule[3]
                else:
                    took = (rule[1] + rule[2] * dh) * max(0.0, 1.0 - rule[4] * l) > rule[3]
                seen[[x["rollout"] for x in seen].index(i)]["draws"].append(u)
                if took:
                    begin(i, s["segments"], s["calls"], s["first"])
                    created += 1
                decisions.append([i, dh, "branched" if took else "declined", len(out) - 1 if took else None])
        if not going and len(out) < n:
            for _ in range(n - len(out) if paper else 1):
                begin()

        def left(i):
            return None if limit is None else limit - out[i]["calls"]

        actions += [["advance", i, left(i)] for i in going]
        for i in range(before, len(out)):
            s = out[i]
            actions.append(["begin", i, left(i)] if s["parent"] is None else ["fork", i, s["parent"], s["inherited"], left(i)])
        other = rng.random() < others
        l = l + 1 if len(out) > before else 0 if other else l
        rounds.append({"seen": seen, "others": other, "decisions": decisions, "actions": actions, "consecutive": l})
        active = going + list(range(before, len(out)))
    return {"rule": list(rule), "rollouts": n, "initial": initial, "attempts": z, "normalizer": norm, "timing": timing,
            "limit": limit, "start": start, "rounds": rounds}


def write_machine(path, seed):
    rng = random.Random(seed)
    cases = []
    for k in range(10):
        for rule in (("arpo-code", 0.5, 0.2), ("arpo-code", 0.3, 2.0), ("arpo-paper", 0.5, 0.2, 0.5), ("aepo-code", 0.5, 0.4),
                     ("aepo-paper", 0.5, 1.5, 0.45, 0.05)):
            n = rng.choice([1, 4, 8, 16])
            cases.append(loop(rng, rule, n, rng.randint(1, n), rng.choice([1, 1, 2, 3]), rng.choice([1.0, 6.9, 11.93]),
                              rng.choice(["lagged", "post-result"]), rng.choice([None, None, 1, 3]), 0.8))
    path.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_log(folder / "draws.jsonl", 20)
    write_machine(folder / "machine.json", 21)
