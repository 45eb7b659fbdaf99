"""cut_vocab.py IN.gguf OUT.gguf N -- a copy whose tokenizer has the first N pieces only: the matrices keep rows that stand for no text, as
models do whose vocabulary was padded. Its tensors move, so the file is written anew."""
import struct
import sys

from add_template import ALIGNMENT, ARRAY, skip_string, skip_value


def main():
    b, n_keep = open(sys.argv[1], "rb").read(), int(sys.argv[3])
    _, n_tensor, n_kv = struct.unpack_from("<IQQ", b, 4)
    head, at = bytearray(b[:24]), 24
    for _ in range(n_kv):
        begin, at = at, skip_string(b, at)
        key, kind, value = b[begin + 8:at], struct.unpack_from("<I", b, at)[0], at + 4
        at = skip_value(b, kind, value)
        if key in (b"tokenizer.ggml.tokens", b"tokenizer.ggml.scores", b"tokenizer.ggml.token_type"):
            assert kind == ARRAY
            item, end = struct.unpack_from("<I", b, value)[0], value + 12
            for _ in range(n_keep):
                end = skip_value(b, item, end)
            head += b[begin:value + 4] + struct.pack("<Q", n_keep) + b[value + 12:end]
        else:
            head += b[begin:at]
    begin = at
    for _ in range(n_tensor):
        at = skip_string(b, at)
        at += 4 + 8 * struct.unpack_from("<I", b, at)[0] + 4 + 8
    head += b[begin:at]
    head += b"\0" * (-len(head) % ALIGNMENT)
    open(sys.argv[2], "wb").write(head + b[at + (-at % ALIGNMENT):])


main()
