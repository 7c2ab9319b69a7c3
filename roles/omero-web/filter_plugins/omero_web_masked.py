"""Filter: a text as anyone may see it, such as a log that quotes OMERO.web's settings, or the address of a package.

Masked are the values of secrets, the texts inside of lists, dictionaries and JSON, each as it is and as Python, JSON
and URLs write it; and in URLs what is before an @ and the values of arguments with a name like token. What a program
computes from a secret, as its base64, is beyond this.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from urllib.parse import quote, unquote

MASK = "********"
USERINFO = re.compile(r"(?<=://)[^/?#\s]*(?=@)")
ARGUMENT = re.compile(
    r"(?i)(?<=[?&;])([^=&;#\s]*(?:auth|credential|key|passw|secret|sig|token)[^=&;#\s]*=)[^&;#\s'\"]+"
)
PASSWORD = re.compile(r"://[^/?#\s:]*:([^/?#\s]+)@")


def texts_in(value):
    """The texts of a secret. Its keys, numbers and truth values are none: they would be masked wherever they occur."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif not isinstance(value, (int, float, type(None))):
        # A value from a vault is no str until then.
        text = str(value)
        yield text
        yield from map(unquote, PASSWORD.findall(text))
        if text.startswith(("[", "{")):
            with suppress(ValueError):
                yield from texts_in(json.loads(text))


def spellings(text):
    return {text, quote(text), quote(text, safe=""), json.dumps(text)[1:-1], repr(text)[1:-1]}


def omero_web_masked(text, secrets=MappingProxyType({})):
    values = [
        str(value) if isinstance(value, int) and not isinstance(value, bool) else value for value in secrets.values()
    ]
    hidden = {spelling for secret in texts_in(values) for spelling in spellings(secret) if spelling}
    # The longest first: another secret may be a part of it.
    pattern = "|".join(map(re.escape, sorted(hidden, key=len, reverse=True)))
    text = re.sub(pattern, MASK, text) if pattern else text
    return ARGUMENT.sub(rf"\1{MASK}", USERINFO.sub(MASK, text))


class FilterModule:
    def filters(self):
        return {"omero_web_masked": omero_web_masked}
