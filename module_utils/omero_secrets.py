# -*- coding: utf-8 -*-
"""Which properties of OMERO are secrets, and what anyone may see of them; of Ansible it has nothing."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import re

MASK = u'********'

_SECRET_NAME = re.compile(r'(?:pass|password|passwd|passphrase|pwd|secret|token|(?:^|[._-])key)$', re.IGNORECASE)
_CAMEL_CASE = re.compile(r'([a-z0-9])([A-Z])')
_USERINFO = re.compile(r'(?<=://)[^/?#]*@')

# What is a secret in a log or in a configuration by its form, or by the word before it.
_UUID = re.compile(r'\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b')
_CLIENT = re.compile(r'(\bclient: )[^,\s]+')
_AFTER_A_NAME = re.compile(r"""(?ix) (
    \b [\w.-]{0,40} (?: password | passwd | secret | token | session_?id | session_?key | api_?key | authorization )
    ["']? (?: \s*[:=]\s* | \s+(?=["']) )
) (?: "[^"\n]*" | '[^'\n]*' | [^\s;,&]+ )""")


def is_string(value):
    return isinstance(value, (bytes, type(u"")))


def parse_json(text):
    """The value of a JSON text; None for any other text."""
    try:
        return json.loads(text)
    except (ValueError, RuntimeError):  # RuntimeError: nested deeper than Python can go
        return None


def is_secret_name(name):
    """Whether the last word of a name says that it stands for a secret."""
    return bool(_SECRET_NAME.search(_CAMEL_CASE.sub(r'\1_\2', name)))


def items_inside(value):
    """Every (name, value) inside of a value, native or JSON text, however deep. What has no name comes with None."""
    pending = [(None, value)]
    while pending:
        name, value = pending.pop()
        yield name, value
        if is_string(value) and value.lstrip()[:1] in ('{', '['):
            value = parse_json(value)
        if isinstance(value, dict):
            pending.extend(value.items())
        elif isinstance(value, list):
            if len(value) == 2 and is_string(value[0]) and value[0].isupper():
                pending.append(tuple(value))  # a setting of Django, as OMERO.web takes them: [NAME, value]
            else:
                pending.extend((None, item) for item in value)


def holds_secret(value):
    """Whether a value names a secret somewhere inside."""
    return any(name is not None and is_secret_name(name) for name, _value in items_inside(value))


def secrecy(key, value):
    """What makes a property a secret, in words; None for one that anyone may see."""
    if value is None:
        return None
    if is_secret_name(key):
        return 'has the name of a secret'
    return 'has a secret inside its value' if holds_secret(value) else None


def masked(key, value, public=None):
    """The value of a property, native or text, as anyone may see it.

    public are the names that the user gave openly, if that is known: whatever else is there may be a secret.
    """
    if value is None:
        return None
    if secrecy(key, value) or public is not None and key not in public:
        return MASK
    return without_userinfo(value)


def without_userinfo(value):
    """A native or text value with the user names and passwords of its URLs masked."""
    if is_string(value):
        return _USERINFO.sub(MASK + u'@', value)
    if isinstance(value, list):
        return [without_userinfo(item) for item in value]
    if isinstance(value, dict):
        return {name: without_userinfo(item) for name, item in value.items()}
    return value


def without_secrets(text, secrets):
    """A text with each of these secrets masked. The longer ones go first, for one may be a part of another."""
    known = set(secret.decode('utf-8', 'replace') if isinstance(secret, bytes) else secret
                for secret in secrets if secret and is_string(secret))
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def public_text(text, secrets):
    """What a host or its logs say, as anyone may see it: also without cookies, session keys and addresses of users."""
    lines = without_secrets(text, secrets).splitlines()
    text = u"\n".join(without_userinfo(line) for line in lines)
    for pattern, shown in (_AFTER_A_NAME, r'\1' + MASK), (_UUID, MASK), (_CLIENT, r'\1' + MASK):
        text = pattern.sub(shown, text)
    return text
