#!/usr/bin/env python3
"""Writes Fixtures/rescore: a tiny checkpoint with a tokenizer and a log whose numbers transformers computed from it.

    python3 Tests/Scripts/make_tokenizer_goldens.py && python3 Tests/Scripts/make_rescore_fixture.py

    policy/          a random Qwen2 (BF16) over the vocabulary of Fixtures/tokenizers/qwen2
    ids.jsonl        prompts and responses as ids, with logprobs, top-5 and exact entropies at temperature 0.7, in float32
    text.jsonl       the same trajectories as text alone
"""
import json
import pathlib
import random
import shutil

import torch
from tokenizers import Tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM

ROOT = pathlib.Path(__file__).parents[2] / "Fixtures"
TEMPERATURE = 0.7
TOP_K = 5

QUESTIONS = ["Who wrote it, and when?", "Was ist die Größe von π?", "搜索工具返回了什么?"]
THOUGHTS = [
    "<think>The agent reads what comes back; then it's unsure.</think>\n",
    "<think>Der Baum verzweigt sich dort, wo die Entropie steigt.</think>\n",
    "<think>智能体调用搜索工具,然后阅读结果。</think>\n",
]
CALLS = ["<tool_call>\n{\"name\": \"search\", \"arguments\": {\"query\": \"%s\"}}\n</tool_call>" % q for q in ("tree", "π", "工具")]
RESULTS = ["\n<result>Page 12345: what's π? 3.14159</result>\n", "\n<result>Keine Seite.</result>\n", "\n<result>无结果 ①</result>\n"]
ANSWERS = ["The answer is 12.", "Die Antwort: 3,14…", "答案是树。", "I don't know."]


def text_segments(generator, number):
    pick = lambda options: generator.choice(options)
    out = [("reasoning", THOUGHTS[number % 3], None), ("tool_call", pick(CALLS), "search"), ("tool_result", pick(RESULTS), "search")]
    out += [("reasoning", pick(THOUGHTS), None), ("tool_call", pick(CALLS), "search"), ("tool_result", pick(RESULTS), "search")]
    return out + [("answer", pick(ANSWERS), None)]


def main():
    out = ROOT / "rescore"
    folder = out / "policy"
    shutil.rmtree(out, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer = Tokenizer.from_file(str(ROOT / "tokenizers/qwen2/tokenizer.json"))
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=1024, rope_theta=10000.0,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=None, initializer_range=0.2,
    )
    model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    shutil.copy(ROOT / "tokenizers/qwen2/tokenizer.json", folder)
    (folder / "model.safetensors").chmod(0o644)
    # Read again: in memory the rotary frequencies were rounded to BF16 as well.
    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids_of = lambda text: tokenizer.encode(text, add_special_tokens=False).ids

    def scored(prompt, response):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1].float() / TEMPERATURE
        lp = torch.log_softmax(logits, -1)
        entropy = -(lp.exp() * lp).sum(-1)
        top = lp.topk(TOP_K, -1)
        return lp[torch.arange(len(response)), response], entropy, top

    run = {
        "schema": "arpo-rollout/1", "kind": "run", "algorithm": "arpo", "model": "tiny",
        "tokenizer": {"name": "tiny", "vocab_size": config.vocab_size}, "sampling": {"temperature": TEMPERATURE},
        "logprobs_mode": "processed_logprobs",
    }
    logs = {"ids": [dict(run, run_id="ids")], "text": [dict(run, run_id="text")]}
    generator = random.Random(5)
    short = lambda x: float("%.9g" % x.item())
    for g, question in enumerate(QUESTIONS):
        prompt_text = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
        prompt = ids_of(prompt_text)
        logs["ids"].append({"kind": "group", "group_id": f"q{g}", "step": 1, "prompt_token_ids": prompt})
        logs["text"].append({"kind": "group", "group_id": f"q{g}", "step": 1, "prompt_text": prompt_text})
        root = None
        for t in range(4):
            texts = text_segments(generator, g)
            branch_segment = [0, 3, 6, 0][t]
            if branch_segment:
                texts = root["texts"][:branch_segment] + texts[branch_segment:]
            # Neighbours that the policy sampled are one text, as in a real rollout.
            tokens, segments = [], []
            for kind, text, tool in texts:
                part = ids_of(text)
                # The last rollout samples some words letter by letter: its text tokenises to other ids.
                if t == 3 and kind == "reasoning":
                    part = part[:1] + [i for c in text[7:15] for i in ids_of(c)] + ids_of(text[15:])
                segments.append((kind, len(tokens), len(tokens) + len(part), text, tool))
                tokens += part
            branch = segments[branch_segment][1] if branch_segment else 0
            logprobs, entropies, top = scored(prompt, tokens)
            mask = [0 if any(k == "tool_result" and a <= i < b for k, a, b, _, _ in segments) else 1 for i in range(len(tokens))]
            own = range(branch, len(tokens))
            name = f"q{g}/{t}"
            record = {
                "kind": "trajectory", "group_id": f"q{g}", "trajectory_id": name, "rollout_index": t, "step": 1,
                "reward": float(generator.random() < 0.5),
            }
            if branch_segment:
                record |= {"parent_id": f"q{g}/0"}
            full = record | {
                "token_ids": tokens[branch:], "loss_mask": mask[branch:],
                "logprobs": [short(logprobs[i]) if mask[i] else None for i in own],
                "entropies": [short(entropies[i]) for i in own], "entropy_kind": "exact",
                "top_logprobs": {
                    "counts": [TOP_K if mask[i] else 0 for i in own],
                    "token_ids": [int(j) for i in own if mask[i] for j in top.indices[i]],
                    "logprobs": [short(x) for i in own if mask[i] for x in top.values[i]],
                },
                "segments": [
                    {"kind": k, "start": a, "end": b, "text": text} | ({"tool": tool} if tool else {})
                    for k, a, b, text, tool in segments[branch_segment:]
                ],
            }
            if branch_segment:
                full["branch_token_index"] = branch
            plain = record | {
                "segments": [
                    {"kind": k, "text": text} | ({"tool": tool} if tool else {}) for k, _, _, text, tool in segments[branch_segment:]
                ]
            }
            if branch_segment:
                plain["branch_segment"] = branch_segment
            logs["ids"].append(full)
            logs["text"].append(plain)
            if t == 0:
                root = {"texts": texts}
    for name, records in logs.items():
        text = "".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n" for r in records)
        (out / f"{name}.jsonl").write_text(text)


if __name__ == "__main__":
    main()
