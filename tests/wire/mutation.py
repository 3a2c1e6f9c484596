"""Damages Diameter messages, in ways that get past a first look: lengths stay consistent more often than not.

Pure: everything it does follows from the random generator it is given.
"""
import struct

EDGES32 = [0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff]
CODES = [257, 258, 271, 272, 274, 280, 282, 0, 999, 0xffffff]
# AVPs that mean something to the stack or to the node.
AVP_CODES = [1, 55, 258, 259, 260, 263, 264, 266, 268, 278, 279, 280, 282, 283, 284, 293, 296, 297, 415, 416, 431, 432, 437,
             443, 446, 456, 461, 873, 874, 3999]


class Mutator:
    """message() -> bytes: one of the good messages, changed in a few places."""

    def __init__(self, random, messages):
        self.random, self.messages = random, messages

    def message(self):
        r = self.random
        message = r.choice(self.messages)
        head, avps = message[:20], split(message[20:])
        for _ in range(r.choice((0, 1, 1, 1, 2, 2, 3, 5))):
            avps = self.on_avps(avps)
        head = self.on_header(head) if r.random() < 0.15 else head
        body = b''.join(avps)
        data = bytearray(head + body)
        data[1:4] = (len(data) & 0xffffff).to_bytes(3, 'big')
        if r.random() < 0.25:
            self.on_bytes(data)
        if r.random() < 0.01:
            data[1:4] = r.randrange(1 << 24).to_bytes(3, 'big')
        if r.random() < 0.01:
            data[0] = r.randrange(256)
        return bytes(data)

    def on_header(self, head):
        r, head = self.random, bytearray(head)
        what = r.randrange(4)
        if what == 0:
            head[4] = r.randrange(256)
        elif what == 1:
            head[5:8] = r.choice(CODES).to_bytes(3, 'big')
        elif what == 2:
            head[8:12] = struct.pack('>I', r.choice([0, 3, 4, 99, 0xffffffff]))
        else:
            head[12:20] = struct.pack('>II', r.choice(EDGES32), r.choice(EDGES32))
        return bytes(head)

    def on_avps(self, avps):
        """One change to the list of AVPs, perhaps inside a group."""
        r = self.random
        if not avps:
            return [self.invented()]
        at, what = r.randrange(len(avps)), r.randrange(9)
        avps = list(avps)
        if what == 0:
            del avps[at]
        elif what == 1:
            avps.insert(r.randrange(len(avps) + 1), avps[at])
        elif what == 2:
            r.shuffle(avps)
        elif what == 3:
            avps.insert(at, self.invented())
        elif what == 4:
            avps[at] = self.resized(avps[at])
        elif what == 5:
            avps[at] = self.rewritten(avps[at])
        elif what == 6:
            avps[at] = self.misheaded(avps[at])
        else:
            avps[at] = self.inside(avps[at])
        return avps

    def inside(self, avp):
        """Goes down where the content can be read as AVPs."""
        head = 12 if avp[4] & 0x80 else 8
        length = int.from_bytes(avp[5:8], 'big')
        inner = split(avp[head:length]) if length > head + 8 else []
        if not inner or sum(map(len, inner)) != length - head:
            return self.rewritten(avp)
        return pack(avp[:head], b''.join(self.on_avps(inner)))

    def invented(self):
        r = self.random
        flags = r.choice((0, 0x40, 0x80, 0xc0, 0x20, 0xff))
        head = struct.pack('>IB', r.choice(AVP_CODES), flags) + bytes(3)
        if flags & 0x80:
            head += struct.pack('>I', r.choice((0, 10415, 32473, 4711)))
        return pack(head, r.randbytes(r.choice((0, 1, 3, 4, 5, 8, 9, 16, 60))))

    def resized(self, avp):
        head = 12 if avp[4] & 0x80 else 8
        data = avp[head:int.from_bytes(avp[5:8], 'big')]
        size = self.random.choice((0, 1, 2, 3, 4, 5, 8, 12, 200, 4000))
        return pack(avp[:head], (data + bytes(size))[:size])

    def rewritten(self, avp):
        r, head = self.random, 12 if avp[4] & 0x80 else 8
        data = bytearray(avp[head:int.from_bytes(avp[5:8], 'big')])
        if len(data) == 4:
            data[:] = struct.pack('>I', r.choice(EDGES32))
        for _ in range(r.randrange(1, 4)):
            if data:
                data[r.randrange(len(data))] = r.choice((0, 1, 0x40, 0x7f, 0x80, 0xff, r.randrange(256)))
        return pack(avp[:head], bytes(data))

    def misheaded(self, avp):
        """Code, flags or the length field alone: then the rest of the list shifts."""
        r, avp = self.random, bytearray(avp)
        what = r.randrange(4)
        if what == 0:
            avp[0:4] = struct.pack('>I', r.choice(AVP_CODES))
        elif what == 1:
            avp[4] = r.choice((0, 0x40, 0x80, 0xc0, 0x20, 0xe0, 0xff, r.randrange(256)))
        elif what == 2:
            avp[5:8] = r.choice((0, 1, 7, 8, 9, 11, 12, 0xffffff, len(avp) + 4, len(avp) - 4, len(avp) + 1)).to_bytes(3, 'big')
        elif len(avp) >= 12:
            avp[8:12] = struct.pack('>I', r.choice((0, 10415, 4711, 0xffffffff)))
        return bytes(avp)

    def on_bytes(self, data):
        r = self.random
        for _ in range(r.choice((1, 1, 2, 4, 16))):
            at = r.randrange(4, len(data))
            data[at] = data[at] ^ 1 << r.randrange(8) if r.random() < 0.5 else r.randrange(256)


def pack(head, data):
    """head's length field is written anew."""
    size = min(len(head) + len(data), 0xffffff)
    return head[:5] + size.to_bytes(3, 'big') + head[8:] + data + bytes(-len(data) % 4)


def split(data):
    """The AVPs with their padding, up to the first that doesn't fit."""
    found, at = [], 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 5:at + 8], 'big') + 3 & ~3
        if length < (12 if data[at + 4] & 0x80 else 8) or at + length > len(data):
            break
        found.append(data[at:at + length])
        at += length
    return found
