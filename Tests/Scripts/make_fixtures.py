#!/usr/bin/env python3
"""Writes the logs in Fixtures/logs that are not in the native format.

    python3 Tests/Scripts/make_fixtures.py            # into Fixtures/logs
    python3 Tests/Scripts/make_fixtures.py FOLDER     # elsewhere, to compare

Standard library only, and the zstd program for .zst. The same files every time. Everything in them is invented: a
toy vocabulary, a made-up model, made-up questions. Logprobs are float32 values printed as doubles, as servers do.
"""
import gzip
import io
import json
import math
import random
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "Fixtures" / "logs"
SPECIAL = {"<|im_start|>": 151644, "<|im_end|>": 151645, "<think>": 151667, "</think>": 151668, "<tool_call>": 151657,
           "</tool_call>": 151658, "<tool_response>": 151665, "</tool_response>": 151666}
WORDS = " the| a| of| is| river| bridge| long| built| in| 1894| Ouse|Let| me| look| answer| so|\n|.|,| metres".split("|")
PIECE = re.compile("|".join(map(re.escape, SPECIAL)) + r"|</?\w+>| ?\w+|\s|[^\w\s]")


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def tokens(text):
    return PIECE.findall(text)


def token_id(piece):
    return SPECIAL.get(piece, 1000 + zlib.crc32(piece.encode()) % 100000)


def ids(text):
    return [token_id(t) for t in tokens(text)]


class Policy:
    """Draws a distribution over a few candidates at every position; the token that was 'sampled' is given."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def row(self, piece, k, listed=True):
        """(logprob of the piece, [(candidate, logprob)] of length k, best first)."""
        words = [w for w in WORDS if w != piece]
        others = self.r.sample(words, k)
        certain = self.r.random() < 0.6
        logits = [self.r.gauss(6 if certain else 1.5, 1)] + [self.r.gauss(0, 1) for _ in others]
        if not listed:
            logits[0] = min(logits) - 1
        z = math.log(sum(math.exp(x) for x in logits) + 0.02)
        pairs = sorted(((w, f32(x - z)) for w, x in zip([piece] + others, logits)), key=lambda p: -p[1])
        lp = dict(pairs)[piece]
        return lp, (pairs[:k] if listed else [p for p in pairs if p[0] != piece][:k])


def entry(piece, lp, top, byids=False):
    def name(p):
        return f"token_id:{token_id(p)}" if byids else p

    def one(p, x):
        return {"token": name(p), "bytes": None if byids else list(p.encode()), "logprob": x}

    return {**one(piece, lp), "top_logprobs": [one(p, x) for p, x in top]}


def chat_logprobs(policy, text, k, byids=False, unlisted=()):
    out = []
    for i, piece in enumerate(tokens(text)):
        lp, top = policy.row(piece, k, listed=i not in unlisted)
        out.append(entry(piece, lp, top, byids))
    return out


def completion(rid, choices, model="toy-1", created=1760000000, usage=None, **more):
    return {"id": rid, "object": "chat.completion", "created": created, "model": model, "choices": choices,
            "usage": usage, **more}


def choice(index, content, logprobs, finish="stop", tool_calls=None, **more):
    message = {"role": "assistant", "content": content, "refusal": None}
    if tool_calls:
        message["tool_calls"] = tool_calls
    message.update(more.pop("message", {}))
    return {"index": index, "message": message,
            "logprobs": None if logprobs is None else {"content": logprobs, "refusal": None}, "finish_reason": finish, **more}


def tool_call(cid, name, arguments):
    return {"id": cid, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def lines(records, **kw):
    return "".join(json.dumps(r, ensure_ascii=False, separators=(",", ":"), **kw) + "\n" for r in records).encode()


def write(name, data):
    path = OUT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def gz_members(data):
    """One gzip member a line, as a log has that was appended to."""
    out = io.BytesIO()
    for line in data.splitlines(keepends=True):
        out.write(gzip.compress(line, 9, mtime=0))
    return out.getvalue()


def zstd_frames(data):
    """One zstd frame a line."""
    run = lambda line: subprocess.run(["zstd", "-q", "-9", "-c"], input=line, stdout=subprocess.PIPE, check=True).stdout
    return b"".join(run(line) for line in data.splitlines(keepends=True))


# ---------------------------------------------------------------------------------------------------- OpenAI

BRIDGE = "How long is the bridge over the Ouse?"
SEARCH_TOOL = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}


def openai_chat():
    p = Policy(1)
    ask = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": BRIDGE}]
    base = {"model": "toy-1", "temperature": 1.0, "top_p": 1.0, "logprobs": True, "top_logprobs": 5}
    first = "The bridge is 412 metres long."
    second = "It is 380 metres long."
    records = [{"request": {**base, "messages": ask, "n": 2}, "response": completion(
        "chatcmpl-1", [choice(0, first, chat_logprobs(p, first, 5)),
                       choice(1, second, chat_logprobs(p, second, 5, unlisted=(2,)))], system_fingerprint="fp_1",
        usage={"prompt_tokens": 21, "completion_tokens": 16, "total_tokens": 37})}]
    # A turn that calls a tool comes without logprobs; the next one repeats it and has them.
    call = tool_call("call_1", "search", {"query": "Ouse bridge length", "limit": 3})
    records.append({"request": {**base, "messages": ask, "tools": [SEARCH_TOOL]}, "response": completion(
        "chatcmpl-2", [choice(0, None, None, "tool_calls", [call])], created=1760000010)})
    echoed = {"role": "assistant", "content": "", "tool_calls": [
        {**call, "function": {"name": "search", "arguments": '{"limit": 3, "query": "Ouse bridge length"}'}}]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "Ouse bridge: 412 m"}
    answer = "412 metres."
    records.append({"request": {**base, "messages": ask + [echoed, result], "tools": [SEARCH_TOOL]},
                    "response": completion("chatcmpl-3", [choice(0, answer, chat_logprobs(p, answer, 5))],
                                           created=1760000020)})
    # A character over two tokens, a clamped logprob, a clamped candidate.
    euro = "\u20ac".encode()
    lp, top = p.row(" costs", 2)
    split = [entry(" costs", lp, top),
             {"token": "\ufffd", "bytes": list(euro[:2]), "logprob": f32(-0.7), "top_logprobs": [
                 {"token": "\ufffd", "bytes": list(euro[:2]), "logprob": f32(-0.7)},
                 {"token": "\ufffd", "bytes": [0xC2, 0xA3], "logprob": f32(-0.8)}]},
             {"token": "\ufffd", "bytes": list(euro[2:]), "logprob": -9999.0, "top_logprobs": [
                 {"token": "\ufffd", "bytes": list(euro[2:]), "logprob": -9999.0},
                 {"token": "5", "bytes": [53], "logprob": f32(-0.01)}]}]
    records.append({"request": {**base, "top_logprobs": 2, "messages": [{"role": "user", "content": "The toll?"}]},
                    "response": completion("chatcmpl-4", [choice(0, " costs\u20ac", split)], created=1760000030)})
    # Nothing but the reply.
    plain = "Yes."
    records.append(completion("chatcmpl-5", [choice(0, plain, chat_logprobs(p, plain, 3))], created=1760000040))
    return lines(records)


def openai_stream():
    """Two choices, interleaved; the second one calls two tools; usage comes last, with no choices."""
    p = Policy(2)
    text = "It spans 412 metres."
    rows = chat_logprobs(p, text, 3)
    chunks = []

    def chunk(choices, **more):
        chunks.append({"__type__": "openai.types.chat.chat_completion_chunk.ChatCompletionChunk", "__data__": {
            "id": "chatcmpl-s1", "object": "chat.completion.chunk", "created": 0, "model": "toy-1",
            "choices": choices, "usage": None, **more}})

    def delta(index, finish=None, logprobs=None, **d):
        return {"index": index, "delta": d, "finish_reason": finish, "logprobs": logprobs}

    chunk([delta(0, role="assistant", content="", logprobs={"content": [], "refusal": None})])
    chunk([delta(1, role="assistant", content=None)])
    for i, row in enumerate(rows):
        chunk([delta(0, content=row["token"], logprobs={"content": [row], "refusal": None})])
        if i == 1:
            for k, (cid, q) in enumerate((("call_a", "Ouse"), ("call_b", "bridge"))):
                chunk([delta(1, tool_calls=[{"index": k, "id": cid, "type": "function",
                                             "function": {"name": "search", "arguments": ""}}])])
                for part in ('{"query"', f': "{q}"', "}"):
                    chunk([delta(1, tool_calls=[{"index": k, "function": {"arguments": part}}])])
    chunk([delta(0, finish="stop")])
    chunk([delta(1, finish="tool_calls")])
    chunk([], usage={"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42})
    body = {"model": "toy-1", "messages": [{"role": "user", "content": BRIDGE}], "n": 2, "stream": True,
            "logprobs": True, "top_logprobs": 3}
    record = {"request": {"method": "POST", "endpoint": "/v1/chat/completions", "body": body},
              "response": {"body": chunks, "is_streaming": True}}
    return (json.dumps(record, indent=1) + "\n").encode()


def openai_batch():
    p = Policy(3)
    records = []
    for prompt, answers in (("p7", ("Jane Austen", "Emma", "Austen.")), ("p8", ("Paris", "Lyon"))):
        for n, answer in enumerate(answers):
            body = completion(f"chatcmpl-{prompt}-{n}", [choice(0, answer, chat_logprobs(p, answer, 4))])
            body = json.dumps(body) if n == 1 else body
            records.append({"id": f"batch_req_{prompt}_{n}", "custom_id": f"{prompt}-{n}", "error": None,
                            "response": {"status_code": 200, "request_id": f"r{prompt}{n}", "body": body}})
    records.append({"id": "batch_req_f", "custom_id": "p9-0", "response": {"status_code": 400, "request_id": "rf", "body": {
        "error": {"message": "maximum context length", "type": "invalid_request_error"}}}, "error": None})
    return lines(records)


# ---------------------------------------------------------------------------------------------------- vLLM

def vllm_chat_ids():
    """Two rollouts of one question; the first calls a tool, and its second turn was sampled twice."""
    p = Policy(4)
    prompt = "<|im_start|>user\n" + BRIDGE + "<|im_end|>\n<|im_start|>assistant\n"
    said = '<think>\nI should look.\n</think>\n\n<tool_call>\n{"name": "search", "arguments": {"query": "Ouse bridge"}}\n</tool_call><|im_end|>'
    result = "\n<|im_start|>user\n<tool_response>\n412 m\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    ask = [{"role": "user", "content": BRIDGE}]
    call = tool_call("t1", "search", {"query": "Ouse bridge"})
    turn = [{"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "t1", "content": "412 m"}]
    records = []

    def add(rid, created, messages, context, text, finish, message, tool_calls=None):
        request = {"model": "toy-q", "messages": messages, "temperature": 1.0, "top_p": 0.95, "logprobs": True,
                   "top_logprobs": 4, "return_token_ids": True, "return_tokens_as_token_ids": True}
        rows = chat_logprobs(p, text, 4, byids=True)
        c = choice(0, message.pop("content"), rows, finish, tool_calls, message=message, token_ids=ids(text), stop_reason=None)
        records.append({"request": request, "response": completion(
            rid, [c], "toy-q", created, prompt_token_ids=context, prompt_logprobs=None)})

    p0 = ids(prompt)
    add("c1", 1760000100, ask, p0, said, "tool_calls", {"content": None, "reasoning": "\nI should look.\n"}, [call])
    p1 = p0 + ids(said) + ids(result)
    add("c2", 1760000110, ask + turn, p1, "<think>\nFound it.\n</think>\n\n412 metres.<|im_end|>", "stop",
        {"content": "412 metres.", "reasoning": "\nFound it.\n"})
    add("c3", 1760000111, ask + turn, p1, "<think>\nIs it so?\n</think>\n\nAbout 400 metres.<|im_end|>", "stop",
        {"content": "About 400 metres.", "reasoning": "\nIs it so?\n"})
    add("c4", 1760000101, ask, p0, "<think>\nI know.\n</think>\n\n380 metres.<|im_end|>", "stop",
        {"content": "380 metres.", "reasoning": "\nI know.\n"})
    return lines(records)


def vllm_completions():
    p = Policy(5)
    prompt = "2 + 2 ="
    out = []
    choices = []
    for index, text in enumerate((" 4.", " four metres")):
        rows = [(t, *p.row(t, 3)) for t in tokens(text)]
        offsets = [len(prompt) + sum(len(t) for t, _, _ in rows[:i]) for i in range(len(rows))]
        choices.append({"index": index, "text": text, "finish_reason": "stop", "stop_reason": None,
                        "prompt_token_ids": ids(prompt), "token_ids": ids(text), "prompt_logprobs": None,
                        "logprobs": {"tokens": [f"token_id:{token_id(t)}" for t, _, _ in rows],
                                     "token_logprobs": [lp for _, lp, _ in rows],
                                     "top_logprobs": [{f"token_id:{token_id(w)}": x for w, x in top} for _, _, top in rows],
                                     "text_offset": offsets}})
    out.append({"request": {"model": "toy-q", "prompt": prompt, "n": 2, "logprobs": 3, "temperature": 0.7},
                "response": {"id": "cmpl-1", "object": "text_completion", "created": 1760000200, "model": "toy-q",
                             "choices": choices}})
    # The prompt echoed: its first token has no logprob, and its tokens were not sampled.
    text = " 4."
    rows = [(t, *p.row(t, 2)) for t in tokens(prompt + text)]
    out.append({"request": {"model": "toy-q", "prompt": prompt, "echo": True, "logprobs": 2},
                "response": {"id": "cmpl-2", "object": "text_completion", "created": 1760000210, "model": "toy-q", "choices": [
                    {"index": 0, "text": prompt + text, "finish_reason": "length",
                     "logprobs": {"tokens": [t for t, _, _ in rows],
                                  "token_logprobs": [None] + [lp for _, lp, _ in rows[1:]],
                                  "top_logprobs": [None] + [dict(top) for _, _, top in rows[1:]],
                                  "text_offset": []}}],
                    "usage": {"prompt_tokens": len(tokens(prompt)), "completion_tokens": 2, "total_tokens": 2 + len(tokens(prompt))}}})
    return lines(out)


# ---------------------------------------------------------------------------------------------------- SGLang

def sglang():
    p = Policy(6)

    def reply(rid, text, k, texts=False, old=False, pairs=False):
        rows = [(t, *p.row(t, k)) for t in tokens(text)]

        def tup(t, lp):
            return [lp, token_id(t)] if pairs else [lp, token_id(t), t if texts else None]

        names = ("decode_token_logprobs", "decode_top_logprobs") if old else ("output_token_logprobs", "output_top_logprobs")
        meta = {"id": rid, "prompt_tokens": 4, "completion_tokens": len(rows), "finish_reason": {"type": "stop", "matched": 151645},
                "input_token_logprobs": [[None, 11, None], [-1.5, 12, None], [-0.25, 13, None], [-2.0, 14, None]],
                names[0]: [tup(t, lp) for t, lp, _ in rows], names[1]: [[tup(w, x) for w, x in top] for _, _, top in rows]}
        return {"text": text, "output_ids": [token_id(t) for t, _, _ in rows], "meta_info": meta}

    out = [[reply(f"r1-{i}", t, 3) for i, t in enumerate((" 412 metres", " about 400", " the river"))]]
    out.append({"request": {"text": "How long?", "sampling_params": {"temperature": 0.8, "top_p": 0.9}},
                "response": reply("r2", "<think>so</think> 412<|im_end|>", 2, texts=True)})
    old = reply("r3", " long.", 2, old=True, pairs=True)
    del old["output_ids"]
    out.append(old)
    return lines(out)


# ---------------------------------------------------------------------------------------------------- verl, ARPO

def verl_v0():
    """Hermes tags, two prompts, one row twice, a NaN beside the score, scores of several types, raw U+2028."""
    def hermes(query, found, answer):
        return (f'Let me look.\n<tool_call>\n{{"name": "search", "arguments": {{"query": "{query}"}}}}\n</tool_call>\nuser\n'
                f"<tool_response>\n{found}\n</tool_response>\nassistant\n{answer}")

    prompt = "system\nAnswer.\nuser\nHow long is the bridge?\nassistant\n"
    other = "system\nAnswer.\nuser\nWho wrote Emma?\nassistant\n"
    rows = [
        (prompt, hermes("bridge", "412\u2028m", "It is 412 m."), "412", 1.0, True),
        (other, hermes("Emma", "Jane Austen", "Austen wrote it."), "Jane Austen", 0.9, True),
        (prompt, hermes("river", "the Ouse", "It is 380 m."), "412", 0.0, False),
        (prompt, "It is 412 m.", "412", "1.0", True),
        (other, hermes("Emma", "Jane Austen", "Austen wrote it."), "Jane Austen", 0.9, True),
        (other, "I do not know.", "Jane Austen", False, False),
    ]
    text = b""
    for i, (prompt, output, gts, score, acc) in enumerate(rows):
        text += lines([{"input": prompt, "output": output, "gts": gts, "score": score, "step": 5, "acc": acc,
                        "length_penalty": float("nan") if i == 2 else 0.0}])
    return text


def verl_v1():
    prompt = "user\nHow long is the bridge?\nassistant\n"
    call = '<tool_call>\n{"name": "search", "arguments": {"query": "bridge"}}\n</tool_call>'
    rows = [("a7_1_0", prompt, "<think>so</think>It is 412 m.", 1.0), ("a7_0_1", prompt + "(summary)\n", "It is 412 m.", 1.0),
            ("a7_0_0", prompt, f"<think>look</think>{call}\ntool\n412 m\nassistant\n<think>enough</think>", 1.0),
            ("b_8_0_0", "user\nWho?\nassistant\n", "Nobody.", 0.0), ("b_8_1_0", "user\nWho?\nassistant\n", "Austen.", 1.0)]
    return lines([{"input": i, "output": o, "gts": "412", "score": s, "step": 7, "format_reward": 0.1, "uid": u}
                  for u, i, o, s in rows])


def arpo(step):
    prompt = f"system\nThink, search, answer.\nuser\nHow long is the bridge? ({step})\nassistant\n"

    def out(query, found, answer):
        return (f"<think>I look for {query}.</think><search> {query} </search> <result>\n{found}\n</result>"
                f"<think>now <python> may help</think>\n<python>print(400 + 12)</python> <result>\n412\n</result>"
                f"<answer>The length is \\boxed{{{answer}}}</answer>")

    def row(output, score, reason, answer, f1):
        return {"input": prompt, "output": output, "score": score, "step": step, "reason": reason, "answer": answer, "f1_score": f1}

    good = row(out("bridge", "Page 1: 412 m </result> said nobody", "412"), 1.1, "correct answer, get f1 score: 1.0", "412", 1.0)
    failed = "<think>a</think><search>b</search> <result>\nError: Tool(search) execution failed with message: no\n</result><answer>?</answer>"
    cut = "<think>I search and search</think><search>length of the"
    return lines([good, row(out("river", "the Ouse", "380"), 0.0, "wrong answer", "380", 0.0),
                  row(failed, 0.0, "wrong answer", "?", 0.0), row(cut, -1.0, "bad format", "", 0.0), good])


def arpo_eval():
    one = ["<think>a</think><search>bridge</search>", "<result>\n412 m\n</result>",
           "<think>so <search> it is</think><answer>\\boxed{412}</answer>"]
    two = ["It is 380."]
    rows = [{"instruction": "Think, then answer.", "input": "How long?", "output": "".join(logs), "prediction": p, "answer": "412",
             "logs": logs, "search_query_history": q} for logs, p, q in ((one, "412", ["bridge"]), (two, "", []))]
    return (json.dumps(rows, indent=4) + "\n").encode()


# ---------------------------------------------------------------------------------------------------- NeMo Gym

def nemo_gym():
    r = random.Random(7)

    def gen(text):
        piece = ids(text)
        return piece, [f32(-abs(r.gauss(0, 0.4))) for _ in piece]

    def captured(item, prompt, text):
        g, lp = gen(text)
        return {**item, "prompt_token_ids": prompt, "generation_token_ids": g, "generation_log_probs": lp}, prompt + g

    def message(text):
        return {"type": "message", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": text, "annotations": [], "logprobs": None}]}

    def function(cid, args):
        return {"type": "function_call", "call_id": cid, "name": "run", "arguments": json.dumps(args), "status": "completed"}

    def result(cid, text):
        return {"type": "function_call_output", "call_id": cid, "output": text}

    def record(task, rollout, output, reward, **more):
        return {"responses_create_params": {"input": [{"role": "system", "content": "Use the tools."},
                                                      {"role": "user", "content": f"Task {task}"}],
                                            "tools": [{"type": "function", "name": "run"}], "temperature": 1.0, "model": "toy-q",
                                            "metadata": {"dataset_name": "toy-tasks"}},
                "response": {"id": f"resp_{task}_{rollout}", "object": "response", "output": output, "incomplete_details": None},
                "reward": reward, "correct": reward == 1.0, "_ng_task_index": task, "_ng_rollout_index": rollout,
                "agent_ref": {"name": "toy_agent"}, **more}

    start = ids("<|im_start|>user\nTask 0<|im_end|>\n<|im_start|>assistant\n")
    glue = ids("<|im_end|>\n<|im_start|>user\n<tool_response>\n5 files\n</tool_response><|im_end|>\n<|im_start|>assistant\n")
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I list the files."}], "id": "rs_1"}
    out = []
    # Two calls in one turn, then an answer; every prompt extends what was before it.
    calls, context = captured(function("c2", {"cmd": "pwd"}), start, "<think>I list the files.</think><tool_call>ls</tool_call><tool_call>pwd</tool_call>")
    answer, _ = captured(message("Five files."), context + glue, "Five files.<|im_end|>")
    out.append(record(0, 2, [reasoning, function("c1", {"cmd": "ls"}), calls, result("c1", "5 files"), result("c2", "/home"), answer],
                      1.0, format_reward=0.5))
    # The template dropped the reasoning of the first call from the second prompt.
    call, context = captured(function("c1", {"cmd": "ls"}), start, "<think>I list the files.</think><tool_call>ls</tool_call>")
    rewritten = start + ids("<tool_call>ls</tool_call>") + glue
    answer, _ = captured(message("Four files."), rewritten, "Four files.<|im_end|>")
    out.append(record(0, 0, [reasoning, call, result("c1", "5 files"), answer], 0.0))
    # One call, answered at once.
    answer, _ = captured(message("None."), start, "None.<|im_end|>")
    out.append(record(0, 1, [answer], 0.0))
    # Nothing captured: empty arrays, not completions of no tokens.
    empty = {"prompt_token_ids": [], "generation_token_ids": [], "generation_log_probs": []}
    out.append(record(1, 0, [{**message("I look."), **empty}, function("c9", {"cmd": "ls"}), result("c9", None), message("Empty.")], 1.0))
    return lines(out)


def main():
    chat, chat_ids, gym = openai_chat(), vllm_chat_ids(), nemo_gym()
    write("openai/openai-chat.jsonl", chat)
    write("openai/openai-chat.jsonl.gz", gz_members(chat))
    write("openai/openai-stream.json", openai_stream())
    write("openai/openai-batch.jsonl", openai_batch())
    write("openai/vllm-chat-ids.jsonl", chat_ids)
    write("openai/vllm-chat-ids.jsonl.zst", zstd_frames(chat_ids))
    write("openai/vllm-completions.jsonl", vllm_completions())
    write("sglang/sglang-generate.jsonl", sglang())
    write("verl-v0/5.jsonl", verl_v0())
    write("verl-v1/7.jsonl", verl_v1())
    write("arpo/3.jsonl", arpo(3))
    write("arpo/4.jsonl.gz", gz_members(arpo(4)))
    write("arpo-eval/arpo-eval.json", arpo_eval())
    write("nemo-gym/nemo-gym_rollouts.jsonl", gym)
    write("nemo-gym/nemo-gym_rollouts.jsonl.zst", zstd_frames(gym))


if __name__ == "__main__":
    main()
