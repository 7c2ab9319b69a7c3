"""A certificate for the ssl port, made on the spot: clients of OMERO.server do not verify it."""

import subprocess
from pathlib import Path

PASSWORD = "secret"
DAYS = 3650
SUBJECT = "/CN=stand-in for OMERO.server"


def make(directory):
    """Make a key with a certificate as server.p12, and the certificate as server.pem, unless they are there."""
    directory = Path(directory)
    bundle, certificate, key = (directory / name for name in ("server.p12", "server.pem", "server.key"))
    if not bundle.exists():
        # It lets nobody else read what it writes of a key.
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS, "-subj", SUBJECT,
                "-keyout", key, "-out", certificate)  # fmt: skip
        openssl("pkcs12", "-export", "-inkey", key, "-in", certificate,
                "-passout", f"pass:{PASSWORD}", "-out", bundle)  # fmt: skip
        key.unlink()
    return {
        "Ice.Plugin.IceSSL": "IceSSL:createIceSSL",
        "IceSSL.DefaultDir": str(directory),
        "IceSSL.CertFile": bundle.name,
        "IceSSL.CAs": certificate.name,
        "IceSSL.Password": PASSWORD,
        "IceSSL.VerifyPeer": "0",
        # OMERO 5.4 and 5.5 come with TLS 1.0 and no certificate.
        "IceSSL.Protocols": "TLS1_0,TLS1_1,TLS1_2",
        "IceSSL.Ciphers": "HIGH:ADH:@SECLEVEL=0",
    }


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.strip()}")
