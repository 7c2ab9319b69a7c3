"""A real browser, for tests of what users see: the machine's own Chromium, driven by Playwright."""

import shutil
import ssl
from base64 import b64encode
from contextlib import contextmanager
from hashlib import sha256
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def browser_of(site):
    """A browser that reaches the site and nobody else: the same on every machine, online or not."""
    address = urlsplit(site)
    # Without its sandbox, for the tests run as root.
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {address.hostname}"]
    if address.scheme == "https":
        # Trusted: with a certificate whose errors are ignored, nothing would be kept in the cache.
        arguments.append(f"--ignore-certificate-errors-spki-list={key_of(address.hostname, address.port or 443)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def key_of(*address):
    """The digest of the public key of a TLS server, as Chromium names it."""
    certificate = load_pem_x509_certificate(ssl.get_server_certificate(address).encode())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(sha256(key).digest()).decode()


class Visitor:
    """Somebody with cookies and a cache of their own, and with a line to the site as DevTools' conditions describe it.

    wire        bytes that each request took on the wire since the last page was opened, by URL; 0 is from the cache
    complaints  errors in the console, and requests to the site that failed or were refused
    """

    def __init__(self, browser, site, line=None):
        self.site, self.line = site, line
        self.context = browser.new_context(base_url=site, viewport={"width": 1000, "height": 600})
        self.complaints = []

    def open(self, path):
        """Open a page in a new tab, and wait until it is complete."""
        page = self.context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda request: self._check(request.url, request.failure))
        page.on("response", lambda response: response.ok or self._check(response.url, response.status))
        self._watch_wire(page)
        page.goto(path)
        return page

    def close(self):
        self.context.close()

    def _hear(self, message):
        if message.type == "error":
            self._check(message.location["url"], message.text)

    def _check(self, url, complaint):
        # A redirect is no failure, nor is an answer that has not changed.
        if url.startswith(self.site) and complaint not in range(300, 400):
            self.complaints.append(f"{url}: {complaint}")

    def _watch_wire(self, page):
        self.wire, urls = {}, {}

        def asked(event):
            urls[event["requestId"]] = event["request"]["url"]

        def answered(event):
            self.wire[urls[event["requestId"]]] = event["encodedDataLength"]

        session = self.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", asked)
        session.on("Network.loadingFinished", answered)
        session.send("Network.enable")
        if self.line:
            session.send("Network.emulateNetworkConditions", self.line)
