#!/usr/bin/env python3
"""Writes Sources/Policy/Tokenizer/UnicodeTables.swift: how the reference tokenizer library sees every scalar.

    python3 Tests/Scripts/make_unicode_tables.py

Token ids must not depend on the Unicode version of an operating system, so the character classes and the NFC data are
taken from the `tokenizers` package itself, by asking it about every scalar. The versions that this finds: \\p{L}, \\p{N}
and \\s (Oniguruma) are Unicode 16, NFC is Unicode 12, \\w (for single_word) is that of Rust's regex crate.
"""
import pathlib
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

SCALARS = [chr(v) for v in range(0x110000) if not 0xD800 <= v < 0xE000]
NFD, NFC = normalizers.NFD(), normalizers.NFC()


def matched(regex):
    gaps = pre_tokenizers.Split(Regex(regex), "removed").pre_tokenize_str("".join(SCALARS))
    left = set()
    for text, _ in gaps:
        left.update(text)
    return [ord(c) for c in SCALARS if c not in left]


def word():
    """Scalars after which a single_word token is not taken."""
    tokenizer = Tokenizer(models.WordLevel({"\ue001": 0, "?": 1}, unk_token="?"))
    tokenizer.add_tokens([AddedToken("\ue001", single_word=True, normalized=False)])
    out = []
    for start in range(0, len(SCALARS), 50000):
        part = SCALARS[start : start + 50000]
        for c, encoding in zip(part, tokenizer.encode_batch([c + "\ue001" for c in part])):
            if c != "\ue001" and encoding.ids == [1]:
                out.append(ord(c))
    return out


def combining_classes():
    """By how the reference reorders each scalar among marks of known classes."""
    marks = {}
    for c in SCALARS:
        v = unicodedata.combining(c)
        # Only marks that the reference knows: it must reorder them against U+0301 of class 230.
        first, second = ("\u0301", c) if v < 230 else (c, "\u0301")
        if v and NFD.normalize_str(c) == c and (v == 230 or NFD.normalize_str(first + second) == second + first):
            marks.setdefault(v, c)
    classes = sorted(marks)
    found = {}
    for c in SCALARS:
        if NFD.normalize_str(c) != c or "\uac00" <= c <= "\ud7a3":
            continue
        if unicodedata.combining(c) == 0 and unicodedata.category(c) != "Cn" and not unicodedata.category(c).startswith("M"):
            continue
        # A scalar of class k moves in front of a mark of a higher class, and lower ones move in front of it.
        lower = [v for v in classes if marks[v] != c and NFD.normalize_str("a" + c + marks[v]) == "a" + marks[v] + c]
        higher = [v for v in classes if marks[v] != c and NFD.normalize_str("a" + marks[v] + c) == "a" + c + marks[v]]
        if not lower and not higher:
            continue
        between = [v for v in classes if v not in lower and v not in higher]
        assert len(between) == 1, (hex(ord(c)), lower, higher)
        found.setdefault(between[0], []).append(ord(c))
    for v, members in found.items():
        for m in members:
            assert unicodedata.combining(chr(m)) == v, (hex(m), v)
    return found


def decompositions():
    out = []
    for c in SCALARS:
        if "\uac00" <= c <= "\ud7a3" or NFD.normalize_str(c) == c:
            continue
        step = [int(x, 16) for x in unicodedata.decomposition(c).split()]
        assert len(step) in (1, 2), hex(ord(c))
        full = "".join(NFD.normalize_str(chr(x)) for x in step)
        assert NFD.normalize_str(full) == NFD.normalize_str(c), hex(ord(c))
        text = f"{ord(c):X}=" + "+".join(f"{x:X}" for x in step)
        if len(step) == 2 and NFC.normalize_str(NFD.normalize_str(c)) != c:
            text += "!"
        out.append(text)
    return out


def ranges(values):
    out, start = [], None
    previous = None
    for v in values + [None]:
        # The scalars on both sides of the surrogates are neighbours.
        if start is None or v is None or (v != previous + 1 and not (previous == 0xD7FF and v == 0xE000)):
            if start is not None:
                out.append(f"{start:X}" if start == previous else f"{start:X}-{previous:X}")
            start = v
        previous = v
    return out


def literal(words):
    lines, line = [], ""
    for w in words:
        if len(line) + len(w) + 1 > 112:
            lines.append(line)
            line = ""
        line += (" " if line else "") + w
    lines.append(line)
    return '"""\n' + "".join(f"    {x}\n" for x in lines) + '    """'


def main():
    classes = combining_classes()
    reordered = [f"{v}:{r}" for v in sorted(classes) for r in ranges(classes[v])]
    tables = [
        ("letters", "Scalars that `\\\\p{L}` matches.", ranges(matched(r"\p{L}"))),
        ("numbers", "Scalars that `\\\\p{N}` matches.", ranges(matched(r"\p{N}"))),
        ("spaces", "Scalars that `\\\\s` matches.", ranges(matched(r"\s"))),
        ("words", "Scalars that `\\\\w` matches, for tokens that are whole words.", ranges(word())),
        ("combiningClasses", "Canonical combining classes above 0 and their scalars.", reordered),
        (
            "decompositions",
            "Canonical decompositions by one step; `!` marks pairs that are not composed again.",
            decompositions(),
        ),
    ]
    body = "\n\n".join(
        f"  /// {doc}\n  static let {name} = {literal(words)}".replace("\\\\", "\\") for name, doc, words in tables
    )
    path = pathlib.Path(__file__).parents[2] / "Sources/Policy/Tokenizer/UnicodeTables.swift"
    path.write_text(
        "// Written by Tests/Scripts/make_unicode_tables.py "
        + f"from tokenizers {tokenizers.__version__}. Do not edit.\n\n"
        + "/// How the reference tokenizer library sees every scalar, as text: ranges in hexadecimal.\n"
        + "enum UnicodeTables {\n" + body + "\n}\n"
    )


if __name__ == "__main__":
    main()
