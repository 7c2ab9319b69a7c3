"""A real browser, for tests of what users see: the machine's own Chromium, driven by Playwright."""

import shutil
import ssl
from base64 import b64encode
from contextlib import contextmanager
from hashlib import sha256
from urllib.parse import urlsplit

from clients import LOGIN
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from playwright.sync_api import TimeoutError, sync_playwright

# Whether all pictures of a dataset have arrived.
THUMBNAILS = """number => {
    const pictures = [...document.querySelectorAll("#dataIcons img")];
    return pictures.length === number && pictures.every(picture => picture.complete && picture.naturalWidth === 96);
}"""
# Whether a viewer shows a plane: as a picture of this size or, in iviewer, drawn with something green in it, as one of
# the channels is.
PLANE_IS_SHOWN = """([width, height]) => {
    const picture = document.querySelector("#weblitz-viewport-img[src*=render_image]");
    if (picture)
        return picture.complete && picture.naturalWidth === width && picture.naturalHeight === height;
    return [...document.querySelectorAll("canvas")].some(drawing => {
        const {data} = drawing.getContext("2d").getImageData(0, 0, drawing.width || 1, drawing.height || 1);
        return data.some((value, position) => position % 4 === 1 && value > 200 && data[position - 1] < 100);
    });
}"""
# What iviewer asks for, if a site has it.
MICROSERVICE = "/omero_ms_image_region/"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# For each thing that is waited for: no test is about how long it takes, and machines may have much else to do.
PATIENCE_MS = 60_000


@contextmanager
def browser_of(site):
    """A browser that reaches the site and nobody else: the same on every machine, online or not.

    All names below example.org are its host's, for pages that are none of the site.
    """
    address = urlsplit(site)
    rules = f"MAP *.example.org {address.hostname}, MAP * ~NOTFOUND, EXCLUDE {address.hostname}"
    # Without its sandbox, for the tests run as root.
    arguments = ["--no-sandbox", f"--host-resolver-rules={rules}"]
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

    home        where OMERO.web is: the site, and its prefix
    wire        bytes that each request took on the wire since the last page was opened, by URL; 0 is from the cache
    complaints  errors in the console, and requests to the site that failed or were refused
    """

    def __init__(self, browser, site, prefix="", line=None):
        self.site, self.home, self.line = site, site + prefix, line
        self.context = browser.new_context(viewport={"width": 1000, "height": 600})
        self.context.set_default_timeout(PATIENCE_MS)
        self.complaints = []

    def open(self, path, at=None):
        """Open a page, of the site or another one, in a new tab, and wait until it is complete."""
        page = self.context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda request: self._check(request.url, request.failure))
        page.on("response", lambda response: response.ok or self._check(response.url, response.status))
        self._watch_wire(page)
        page.goto((at or self.home) + path)
        return page

    def embedded(self, portal, path):
        """Open a page of another site, which shows one of OMERO.web; the frame in it."""
        return self.open(f"/?{self.home}{path}", at=portal).frames[1]

    def log_in(self, name, password, page=None):
        """By the form; the page to which that leads."""
        page = page or self.open(LOGIN)
        page.fill("#id_username", name)
        page.fill("#id_password", password)
        with page.expect_navigation():
            page.click("text=Login")
        return page

    def wait_until(self, page, condition, what, again):
        """Wait until JavaScript finds a page so. Who has waited long does something once more, as people do.

        Whatever has failed meanwhile is among the complaints all the same.
        """
        try:
            page.wait_for_function(condition, arg=what)
        except TimeoutError:
            again()
            try:
                page.wait_for_function(condition, arg=what)
            except TimeoutError as error:
                raise AssertionError(f"{page.url} is not as it should be; complaints: {self.complaints}") from error

    def see(self, viewer, image):
        """Wait until a viewer, OMERO.web's own or iviewer, shows this image."""
        self.wait_until(viewer, PLANE_IS_SHOWN, [image.size_x, image.size_y], again=viewer.reload)
        assert viewer.title() == image.name

    def close(self):
        self.context.close()

    def _hear(self, message):
        if message.type == "error":
            self._check(message.location["url"], message.text)

    def _check(self, url, complaint):
        # A redirect is no failure, nor is an answer that has not changed. For a page that names no icon a browser looks
        # for one above the prefix, where there is no OMERO.web.
        is_ours = url.startswith(self.site) and not (self.home != self.site and url == f"{self.site}/favicon.ico")
        if is_ours and MICROSERVICE not in url and complaint not in range(300, 400):
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


def node(page, name):
    """The innermost node of the tree with this name."""
    return page.locator("li.jstree-node", has_text=name).last


def spend_a_day(visitor, name, password, world, show):
    """Log in, look for images and at one of them, and log out; pages are shown by name meanwhile."""
    project = world.projects[1]
    dataset = world.children(project)[0]
    image = world.children(dataset)[0]

    page = visitor.log_in(name, password)
    node(page, project.name).locator("> .jstree-ocl").click()

    def choose(*chosen):
        for one in chosen:
            node(page, one.name).locator("> .jstree-anchor").click()

    choose(dataset)
    # What is chosen already could not be chosen again.
    visitor.wait_until(page, THUMBNAILS, len(world.children(dataset)), again=lambda: choose(project, dataset))

    page.click(f"#image_icon-{image.id}")
    page.wait_for_selector(f"#right_panel >> text={image.size_x} x {image.size_y}")
    page.wait_for_load_state("networkidle")
    show(page, "web-client")

    with page.expect_popup() as popup:
        page.dblclick(f"#image_icon-{image.id}")
    viewer = popup.value
    visitor.see(viewer, image)
    show(viewer, "viewer")
    viewer.close()

    page.click("#show_user_dropdown")
    with page.expect_navigation():
        page.click("text=Logout")
    assert page.url.startswith(visitor.home + LOGIN)
    assert visitor.complaints == [], visitor.complaints
    assert visitor.open("/webclient/").url.startswith(visitor.home + LOGIN)
