"""As much Diameter as a gateway under test needs: CER, DWR, CCR out; CEA, DWA, CCA in. RFC 6733, RFC 8506, TS 32.299.

A codec of its own on purpose: what the node says is read here by other code than the node's and than gyro-sim's.
It checks nothing beyond what it needs to find its way.
"""
import struct

REQUEST, PROXIABLE, ERROR, RETRANSMITTED = 0x80, 0x40, 0x20, 0x10
CER, DWR, DPR, CCR = 257, 280, 282, 272
CREDIT_CONTROL = 4
CONTEXT = '32251@3gpp.org'
TGPP = 10415

OCTETS, SECONDS, SERVICE = 1, 2, 3
UNIT_AVP = {OCTETS: 421, SECONDS: 420, SERVICE: 417}
UNIT_NAME = {OCTETS: 'octets', SECONDS: 'seconds', SERVICE: 'service_units'}
UNIT_READ = {421: ('octets', 8), 420: ('seconds', 4), 417: ('service_units', 8)}
THRESHOLD_READ = {869: 'volume_threshold', 868: 'time_threshold', 1226: 'unit_threshold', 871: 'quota_holding_s'}


def avp(code, data, vendor=0, flags=0x40):
    """One AVP: an int is an Unsigned32, a list a group, bytes and str are themselves."""
    if isinstance(data, int):
        data = struct.pack('>I', data)
    elif isinstance(data, str):
        data = data.encode()
    elif isinstance(data, list):
        data = b''.join(data)
    head = 12 if vendor else 8
    out = struct.pack('>II', code, (flags | (0x80 if vendor else 0)) << 24 | head + len(data))
    if vendor:
        out += struct.pack('>I', vendor)
    return out + data + b'\0' * (-len(data) % 4)


def message(command, flags, application, hop_by_hop, end_to_end, body):
    return struct.pack('>IIIII', 1 << 24 | 20 + len(body), flags << 24 | command, application, hop_by_hop,
                       end_to_end) + body


def avps(data, at=0):
    """(code, vendor, bytes) of each AVP in there."""
    end = len(data)
    while at + 8 <= end:
        code, word = struct.unpack_from('>II', data, at)
        length, vendor, head = word & 0xffffff, 0, 8
        if word >> 31:
            vendor, head = struct.unpack_from('>I', data, at + 8)[0], 12
        if length < head or at + length > end:
            raise ValueError(f'AVP {code} of length {length} at {at} of {end}')
        yield code, vendor, data[at + head:at + length]
        at += length + 3 & ~3


def capabilities(host, realm):
    """Body of a CER."""
    return (avp(264, host) + avp(296, realm) + avp(257, b'\0\1\x7f\0\0\1') + avp(266, 0) +
            avp(269, 'chaos client', flags=0) + avp(258, CREDIT_CONTROL))


def watchdog_answer(host, realm):
    return avp(268, 2001) + avp(264, host) + avp(296, realm)


def units(unit, count):
    return avp(UNIT_AVP[unit], struct.pack('>I' if unit == SECONDS else '>Q', count))


def service(rating_group, unit, used, asks):
    """An MSCC: usage to report (None: none), and whether more is asked for."""
    parts = []
    if asks:
        parts.append(avp(437, b''))
    if used is not None:
        parts.append(avp(446, [units(unit, used)]))
    parts.append(avp(432, rating_group))
    return avp(456, parts)


def credit_control(host, realm, session_id, kind, number, imsi, services):
    """Body of a CCR; services: (rating_group, unit, used, asks)."""
    parts = [avp(263, session_id), avp(264, host), avp(296, realm), avp(283, realm), avp(258, CREDIT_CONTROL),
             avp(461, CONTEXT), avp(416, kind), avp(415, number), avp(443, [avp(450, 1), avp(444, imsi)]), avp(455, 1)]
    if kind == 3:
        parts.append(avp(295, 1))
    parts += [service(*s) for s in services]
    return b''.join(parts)


def read_service(data):
    """An MSCC of an answer, in the words of the request log."""
    out = {'rating_group': None, 'service_ids': [], 'code': 0, 'granted': None}
    for code, vendor, value in avps(data):
        if code == 432:
            out['rating_group'] = int.from_bytes(value, 'big')
        elif code == 439:
            out['service_ids'].append(int.from_bytes(value, 'big'))
        elif code == 268:
            out['code'] = int.from_bytes(value, 'big')
        elif code == 448:
            out['validity_s'] = int.from_bytes(value, 'big')
        elif code == 430:
            out['final_unit'] = next((int.from_bytes(v, 'big') for c, _, v in avps(value) if c == 449), None)
        elif code == 431:
            out['granted'] = {UNIT_READ[c][0]: int.from_bytes(v, 'big') for c, _, v in avps(value) if c in UNIT_READ}
        elif vendor == TGPP and code in THRESHOLD_READ:
            out[THRESHOLD_READ[code]] = int.from_bytes(value, 'big')
    return out


def read_answer(data):
    """(Result-Code, Error-Message or None, services) of a CCA."""
    result, said, services = 0, None, []
    for code, vendor, value in avps(data, 20):
        if vendor:
            continue
        if code == 268:
            result = int.from_bytes(value, 'big')
        elif code == 281:
            said = value.decode(errors='replace')
        elif code == 456:
            services.append(read_service(value))
    return result, said, services
