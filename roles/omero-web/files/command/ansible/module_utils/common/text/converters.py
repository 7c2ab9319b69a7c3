"""Texts and bytes as Ansible has them: of Ansible, the code that modules and this command share has nothing else."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

text = type(u"")
# Python 2.7 has no name for what is no UTF-8.
STRANGE = "strict" if str is bytes else "surrogateescape"


def to_bytes(value):
    return value if isinstance(value, bytes) else to_text(value).encode("utf-8", STRANGE)


def to_text(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace" if str is bytes else STRANGE)
    return value if isinstance(value, text) else text(value)


to_native = to_bytes if str is bytes else to_text
