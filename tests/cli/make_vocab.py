"""make_vocab.py FOLDER -- two small vocabularies as GGUF files without tensors: spm.gguf (SentencePiece with byte pieces) and
bpe.gguf (byte-level letters, a few merges, special tokens)."""
import struct
import sys

STRING, ARRAY, F32, I32, U32, BOOL = 8, 9, 6, 5, 4, 7


def text(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    if kind == STRING:
        return text(v)
    return struct.pack({F32: "<f", I32: "<i", U32: "<I", BOOL: "<?"}[kind], v)


def write(path, pairs):
    body = b""
    for key, kind, v in pairs:
        body += text(key)
        if isinstance(v, list):
            body += struct.pack("<IIQ", ARRAY, kind, len(v)) + b"".join(value(kind, x) for x in v)
        else:
            body += struct.pack("<I", kind) + value(kind, v)
    with open(path, "wb") as f:
        f.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + body)


def spm(path):
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    types = [2, 3, 3] + [6] * 256
    words = ["\u2581", "\u2581Hello", "\u2581world", "Hel", "lo", "lines", "and"] + [chr(i) for i in range(33, 127)]
    words += ["He", "el", "\u2581H", "\u2581w", "wor", "ld", "or", "li", "an"]
    pieces += words
    types += [1] * len(words)
    scores = [0.0] * 259 + [-float(i) for i in range(len(words))]
    key = "tokenizer.ggml."
    write(path, [("general.architecture", STRING, "llama"), (key + "model", STRING, "llama"), (key + "tokens", STRING, pieces),
                 (key + "scores", F32, scores), (key + "token_type", I32, types), (key + "bos_token_id", U32, 1),
                 (key + "eos_token_id", U32, 2), (key + "unknown_token_id", U32, 0), (key + "add_bos_token", BOOL, True)])


def byte_letters():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in plain}
    for n, b in enumerate(b for b in range(256) if b not in letters):
        letters[b] = chr(256 + n)
    return letters


def bpe(path):
    letters = byte_letters()
    space = letters[32]
    merges = [("H", "e"), ("l", "l"), ("He", "ll"), ("Hell", "o"), (space, "w"), ("o", "r"), (space + "w", "or"), ("l", "d")]
    pieces = [letters[b] for b in range(256)] + [a + b for a, b in merges] + ["<|end|>", "<|user|>"]
    types = [1] * (len(pieces) - 2) + [3, 3]
    key = "tokenizer.ggml."
    write(path, [("general.architecture", STRING, "gpt2"), (key + "model", STRING, "gpt2"), (key + "pre", STRING, "gpt-2"),
                 (key + "tokens", STRING, pieces), (key + "token_type", I32, types), (key + "merges", STRING, [f"{a} {b}" for a, b in merges]),
                 (key + "bos_token_id", U32, len(pieces) - 2), (key + "eos_token_id", U32, len(pieces) - 2)])


if __name__ == "__main__":
    spm(sys.argv[1] + "/spm.gguf")
    bpe(sys.argv[1] + "/bpe.gguf")
