#!/usr/bin/env python3
"""quant_peer.py LIB SOURCE.gguf OURS.gguf OUT.gguf: OURS with the bytes of every quantized matrix made again by ggml's encoders from SOURCE.

Types, sizes and all else stay, so that two files differ in what their encoders do and in nothing else. LIB is libggml-base.so of the
peer; its quantize() is called through ../shared/tools/mkquant.py (or the one in MKQUANT). SOURCE is F32, F16 or BF16."""
import importlib.util, os, struct, sys
import numpy as np

WIDTH = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def load_mkquant():
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.environ.get("MKQUANT", os.path.join(here, "../../shared/tools/mkquant.py"))
    spec = importlib.util.spec_from_file_location("mkquant", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tensors(path):
    """name -> (dims, type, offset in the file)"""
    with open(path, "rb") as f:
        def string():
            return f.read(struct.unpack("<Q", f.read(8))[0])

        def skip(kind):
            if kind == 8:
                string()
            elif kind == 9:
                sub, n = struct.unpack("<IQ", f.read(12))
                for _ in range(n if sub in (8, 9) else 0):
                    skip(sub)
                f.seek(0 if sub in (8, 9) else WIDTH[sub] * n, 1)
            else:
                f.seek(WIDTH[kind], 1)

        assert f.read(4) == b"GGUF", path
        _, n_tensor, n_kv = struct.unpack("<IQQ", f.read(20))
        for _ in range(n_kv):
            string()
            skip(struct.unpack("<I", f.read(4))[0])
        found = {}
        for _ in range(n_tensor):
            name = string().decode()
            dims = struct.unpack("<%dQ" % (n := struct.unpack("<I", f.read(4))[0]), f.read(8 * n))
            found[name] = (dims, *struct.unpack("<IQ", f.read(12)))
        base = (f.tell() + 31) // 32 * 32
        return {name: (dims, kind, base + offset) for name, (dims, kind, offset) in found.items()}


def main():
    lib, source, ours, out = sys.argv[1:]
    peer = load_mkquant()
    g = peer.load(lib)
    floats = {0: "<f4", 1: "<f2", 30: "<u2"}
    raw, data = np.fromfile(source, np.uint8), np.fromfile(ours, np.uint8)
    from_tensors = tensors(source)
    for name, (dims, kind, offset) in tensors(ours).items():
        if kind in floats or kind not in peer.BYID:
            continue
        _, kind_from, at = from_tensors[name]
        n = int(np.prod(dims))
        x = raw[at:at + n * np.dtype(floats[kind_from]).itemsize].view(floats[kind_from])
        x = (x.astype("<u4") << 16).view("<f4") if kind_from == 30 else x.astype(np.float32)
        label = next(k for k, v in peer.TYPES.items() if v[0] == kind)
        y = peer.quantize(g, x.reshape(-1, dims[0]), label)
        data[offset:offset + y.nbytes] = y
    data.tofile(out)


if __name__ == "__main__":
    main()
