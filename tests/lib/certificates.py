"""Certificates for a test: an authority, what it signs, and contexts of Python's ssl for gateways. Made by openssl.

    authority = Authority(folder)
    node = authority.issue('gyro1.spec.test')          # node.certificate, node.key, node.authority: paths
    context = authority.issue('pgw1.spec.test').context()
"""
import ssl
import subprocess

DAYS = 30


def openssl(*words):
    subprocess.run(['openssl', *[str(w) for w in words]], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE)


class Certificate:
    """Paths of a certificate, of its key, and of the authority whose certificates its holder believes; and of a list of
    those that have been revoked, if there is one."""

    def __init__(self, certificate, key, authority):
        self.certificate, self.key, self.authority, self.revoked = certificate, key, authority, None

    def context(self, version=None, show=True):
        """A gateway's side of TLS. version: an ssl.TLSVersion and no other; show: whether it shows the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.authority)
        if show:
            context.load_cert_chain(self.certificate, self.key)
        if version:
            context.minimum_version = context.maximum_version = version
        return context


class Authority:
    def __init__(self, folder, name='Test authority'):
        self.folder, self.name, self.count = folder, name, 0
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key = folder / 'ca.pem', folder / 'ca.key'
        openssl('req', '-x509', *self.new_key(self.key), '-out', self.certificate, '-days', DAYS, '-subj', f'/CN={name}',
                '-addext', 'keyUsage=critical,keyCertSign,cRLSign')

    @staticmethod
    def new_key(path):
        return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', path]

    def issue(self, *names, common_name=None, days=DAYS, alone=False):
        """In these names (DNS in subjectAltName), and that common name, by default the first one. days may be below zero:
        it has expired. alone: signed by itself."""
        self.count += 1
        path = self.folder / f'{self.count}'
        request, certificate, key, more = (path.with_suffix(s) for s in ('.csr', '.pem', '.key', '.ext'))
        openssl('req', '-new', *self.new_key(key), '-out', request, '-subj', f'/CN={common_name or names[0]}')
        more.write_text('basicConstraints=CA:FALSE\n'
                        + (f'subjectAltName={",".join(f"DNS:{n}" for n in names)}\n' if names else ''))
        signer = ['-signkey', key] if alone else ['-CA', self.certificate, '-CAkey', self.key, '-CAcreateserial']
        openssl('x509', '-req', '-in', request, '-out', certificate, *signer, '-days', days, '-extfile', more)
        return Certificate(certificate, key, self.certificate)

    def revoke(self, *certificates):
        """The list of these as revoked: a path."""
        (self.folder / 'index').write_text('')
        (self.folder / 'number').write_text('01\n')
        conf, crl = self.folder / 'ca.conf', self.folder / 'crl.pem'
        conf.write_text(f'[ca]\ndefault_ca=this\n[this]\ndatabase={self.folder}/index\ncrlnumber={self.folder}/number\n'
                        'default_md=sha256\ndefault_crl_days=30\n')
        common = ['-config', conf, '-cert', self.certificate, '-keyfile', self.key]
        for certificate in certificates:
            openssl('ca', *common, '-revoke', certificate.certificate)
        openssl('ca', *common, '-gencrl', '-out', crl)
        return crl
