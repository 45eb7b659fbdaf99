"""add_template.py IN.gguf OUT.gguf TEMPLATE -- a copy of a model with a chat template. Its tensors move, so the file is written anew."""
import struct
import sys

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, ALIGNMENT = 8, 9, 32


def skip_string(b, at):
    return at + 8 + struct.unpack_from("<Q", b, at)[0]


def skip_value(b, kind, at):
    if kind == STRING:
        return skip_string(b, at)
    if kind == ARRAY:
        item, n = struct.unpack_from("<IQ", b, at)
        at += 12
        for _ in range(n):
            at = skip_value(b, item, at)
        return at
    return at + SIZES[kind]


def text(s):
    return struct.pack("<Q", len(s.encode())) + s.encode()


def main():
    b = open(sys.argv[1], "rb").read()
    _, n_tensor, n_kv = struct.unpack_from("<IQQ", b, 4)
    at = 24
    for _ in range(n_kv):
        at = skip_string(b, at)
        at = skip_value(b, struct.unpack_from("<I", b, at)[0], at + 4)
    kv_end = at
    for _ in range(n_tensor):
        at = skip_string(b, at)
        at += 4 + 8 * struct.unpack_from("<I", b, at)[0] + 4 + 8
    key = text("tokenizer.chat_template") + struct.pack("<I", STRING) + text(sys.argv[3])
    head = b[:16] + struct.pack("<Q", n_kv + 1) + b[24:kv_end] + key + b[kv_end:at]
    head += b"\0" * (-len(head) % ALIGNMENT)
    open(sys.argv[2], "wb").write(head + b[at + (-at % ALIGNMENT):])


if __name__ == "__main__":
    main()
