#!/usr/bin/env python3
"""Writes Fixtures/tokenizers: small byte-level BPE tokenizers with the pipelines of Qwen2 and Llama 3, nasty texts, and
what the reference library (`tokenizers`) makes of them.

    python3 Tests/Scripts/make_tokenizer_goldens.py

    corpus.json               texts; all of them made here
    <name>/tokenizer.json     trained on the corpus
    <name>/encodings.json     ids of each text, without and with special tokens where the two differ
    <name>/decodings.json     ids (also such that break characters), their text, and their text without special tokens
"""
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

SENTENCES = [
    "The agent calls a search tool and reads what comes back; then it's unsure, isn't it? They'll see, we've seen, I'm done.",
    "Der Baum verzweigt sich dort, wo die Entropie nach einem Werkzeugaufruf steigt. Größe, Maß, Öl, Übermut.",
    "L'agent appelle l'outil, puis hésite : « où aller ? » Ça dépend… Noël, cœur, garçon.",
    "Агент вызывает инструмент поиска и читает ответ; ёлка, й, Їжак.",
    "智能体调用搜索工具,然后阅读结果。工具调用之后,熵会上升!",
    "エージェントは検索ツールを呼び出し、結果を読む。ガギグ パピプ ｶﾞｷﾞ",
    "에이전트가 검색 도구를 호출하고 결과를 읽는다. 한글 각간",
    "يستدعي الوكيل أداة البحث ثم يقرأ النتيجة. ١٢٣٤ مُحَمَّد",
    "הסוכן קורא לכלי החיפוש. שָׁלוֹם עֲלֵיכֶם",
    "एजेंट खोज उपकरण को बुलाता है। क़ ख़ ग़ १२३४५",
    "ตัวแทนเรียกใช้เครื่องมือค้นหา แล้วอ่านผลลัพธ์ น้ำ ๑๒๓",
    "Tác tử gọi công cụ tìm kiếm rồi đọc kết quả. Tiếng Việt: ệ ữ ặ ỗ",
    "Ο πράκτορας καλεί το εργαλείο. Ἀρχὴ ἥμισυ παντός, ᾳ ῳ Ω Ω",
    "முகவர் தேடல் கருவியை அழைக்கிறார். கொ கோ கௌ",
    "ተወካዩ የፍለጋ መሣሪያውን ይጠራል። ፩፪፫",
    "def f(x: int) -> float:\n\treturn x ** 2 / 3.14159  # π r²\n\n\nif __name__ == '__main__':\n    print(f(1234567890))\n",
    '{"name": "search", "arguments": {"query": "tallest mountain", "k": 10}}\r\n\r\n<tool_call>\n</tool_call>',
    "<|im_start|>user\nWhat's 12345678 + 90?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n<|im_end|>",
    "SELECT * FROM t WHERE a='O''Brien' AND b>=1e-5; -- don't\n$x_{i}^{2}$ \\frac{1}{2} ≤ ∞ ∑∏√ ½ ⅓ Ⅷ ① ²³",
    "https://example.org/a?b=c&d=%20#e  user@example.org  C:\\Users\\x  /usr/local/bin  #!@$%^&*()_+-=[]{}|;:,.<>/?",
]

PIECES = [
    " ", "  ", "   ", "\n", "\r\n", "\r", "\t", "\u00a0", "\u3000", "\u2028", "\u2029", "\u0085", "\u200b", "\u200d", "\ufeff",
    "\u1680", "\u202f", "\x0b", "\x0c", "\x00", "\x1b[31m", "\x7f", "\u00ad",
    "'s", "'S", "'\u017f", "'t", "'re", "'RE", "'Ve", "'m", "'ll", "'lL", "'l", "'d", "'x", "''", "\u2019s", "don't", "'re've",
    "a", "Z", "ab", "the", "The", "é", "e\u0301", "e\u0301\u0323", "e\u0323\u0301", "ệ", "\u1ec7", "o\u0308", "A\u030a", "\u212b",
    "\u2126", "\u212a", "\u0344", "\u0958", "\u0915\u093c", "\u0f43", "\u2adc", "\ufb1d", "\uf900", "\u2f800", "\u0374", "\u037e",
    "\u1100\u1161", "\u1100\u1161\u11a8", "\uac00\u11a8", "\uac01\u11a8", "\u11a8", "\u1161", "각", "ガ", "カ\u3099", "\u3099",
    "\u09c7\u09be", "\u0b47\u0b56", "\u0dd9\u0dcf\u0dca", "\u1025\u102e", "\u0300", "\u0301\u0300", "\u0327\u0301", "\u0301\u0327",
    "\u05d0\u05b7\u05bc", "\u05bc\u05b7", "\u0653\u0627", "\u0627\u0653", "\u0f71\u0f72\u0f74", "\u0f73", "\u1e9b\u0323", "ſ", "ß", "ﬁ",
    "1", "12", "123", "1234", "12345", "٣٤", "१२३४", "½", "²", "Ⅷ", "①", "𝟘𝟙𝟚𝟛", "〇", "一", "𐄇",
    ".", ",", "...", "!?", "--", "→", "€", "¥", "©", "™", "·", "«", "»", "“", "”", "—", "、", "。", "（", "）", "_", "__", "`", "```",
    "😀", "👨‍👩‍👧‍👦", "🇩🇪", "🏳️‍🌈", "👍🏽", "❤️", "☃", "\U000e0041", "\U0001fae8", "\U0001f6dc", "\U000323af", "\U0002ebf0", "\u1c89", "\ua7cb",
    "\ue000", "\U0010ffff", "\ufffe", "\uffff", "\ufdd0", "\ufffd", "\u0378", "\U000e0100", "\u0fffe"[:1],
    "中", "文字", "龘", "\U00020000", "漢字かな", "한", "ไทย", "ก็", "עִבְ", "العَ", "हिन्दी", "ক্ষ", "ខ្មែរ", "မြန်", "བོད",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_", "<|", "|>", "<think>", "</think>", "<tool_call>", "tok", "Tok", "ToK",
    "wörd", "wo\u0308rd", "lefty", "righty", "both", "<x>", "<x><y>", "<xx>",
]


def corpus():
    generator = random.Random(20261125)
    texts = [""] + SENTENCES + [s.upper() for s in SENTENCES[:4]]
    texts += ["\n".join(SENTENCES[i : i + 4]) for i in range(0, 20, 4)]
    texts += PIECES
    for _ in range(260):
        texts.append("".join(generator.choice(PIECES) for _ in range(generator.randint(2, 14))))
    for _ in range(60):
        text = "".join(chr(generator.choice([generator.randrange(0x20, 0x7F), generator.randrange(0xA0, 0xD7FF)])) for _ in range(12))
        texts.append(text)
    for _ in range(30):
        texts.append("".join(chr(generator.randrange(0x10000, 0x110000)) for _ in range(5)))
    texts += ["a" * n for n in (47, 48, 49, 50, 300)] + ["ab" * 400, "\u0301" * 60, " " * 100, "\n" * 70 + "x", "9" * 101, "é" * 90]
    return texts


def trained(texts, size, digits, normalizer, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT % digits), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(texts * 3, trainer)
    return tokenizer


def qwen2(texts):
    t = trained(texts, 900, "", normalizers.NFC(), [])
    t.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.add_tokens([AddedToken(x, normalized=False) for x in ("<tool_call>", "</tool_call>", "<think>", "</think>")])
    return t


def llama3(texts):
    t = trained(texts, 700, "{1,3}", None, [])
    # Words that no merge leads to: only `ignore_merges` finds them.
    model = json.loads(t.to_str())
    for word in ("\u0120mountain!", "entropy", "\u0120\u00e4\u00b8\u0143"):
        model["model"]["vocab"][word] = len(model["model"]["vocab"])
    model["model"]["ignore_merges"] = True
    t = Tokenizer.from_str(json.dumps(model))
    t.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"])
    begin = "<|begin_of_text|>"
    t.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(
                single=f"{begin} $A", pair=f"{begin} $A {begin}:1 $B:1", special_tokens=[(begin, t.token_to_id(begin))]
            ),
        ]
    )
    return t


def flags(texts):
    """Added tokens in every combination of flags, some of them inside others."""
    t = trained(texts, 400, "", normalizers.Sequence([normalizers.NFC()]), [])
    t.add_special_tokens([AddedToken("<|im_end|>", rstrip=True), AddedToken("<|im_start|>", lstrip=True, normalized=True)])
    t.add_tokens(
        [
            AddedToken("tok", single_word=True, normalized=False),
            AddedToken("w\u00f6rd", normalized=True),
            AddedToken("lefty", lstrip=True, normalized=False),
            AddedToken("righty", rstrip=True, normalized=True),
            AddedToken("both", lstrip=True, rstrip=True, single_word=True, normalized=True),
            AddedToken("<x>", normalized=False),
            AddedToken("<x><y>", normalized=True),
            AddedToken("<xx", normalized=False),
            AddedToken("\u00e9", normalized=True),
            AddedToken("\u4e2d", normalized=False),
            AddedToken("\n ", rstrip=True, normalized=False),
            AddedToken("\u1e9b\u0323", normalized=True),
        ]
    )
    t.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A <|im_end|>", pair="$A $B",
        special_tokens=[(x, t.token_to_id(x)) for x in ("<|im_start|>", "<|im_end|>")],
    )
    return t


def main():
    folder = pathlib.Path(__file__).parents[2] / "Fixtures/tokenizers"
    texts = corpus()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "corpus.json").write_text(json.dumps(texts))
    for make in (qwen2, llama3, flags):
        tokenizer = make(SENTENCES)
        out = folder / make.__name__
        out.mkdir(exist_ok=True)
        (out / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")))
        rows = []
        for text in texts:
            plain = tokenizer.encode(text, add_special_tokens=False).ids
            full = tokenizer.encode(text).ids
            rows.append([plain] if plain == full else [plain, full])
        (out / "encodings.json").write_text(json.dumps(rows, separators=(",", ":")))
        generator = random.Random(7)
        size = tokenizer.get_vocab_size()
        samples = [row[-1] for row in rows[:60]]
        samples += [[generator.randrange(size) for _ in range(generator.randint(1, 20))] for _ in range(120)]
        samples += [[generator.randrange(256) for _ in range(generator.randint(1, 12))] for _ in range(120)]
        decodings = [
            [ids, tokenizer.decode(ids, skip_special_tokens=False), tokenizer.decode(ids, skip_special_tokens=True)]
            for ids in samples
        ]
        (out / "decodings.json").write_text(json.dumps(decodings, separators=(",", ":")))


if __name__ == "__main__":
    main()
