# -*- coding: utf-8 -*-
"""omero_config_info from its parameters to what it returns."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest
from conftest import content_of, run_module, write

CONFIGURATION = b"""<icegrid>
<properties id="__ACTIVE__"><property name="omero.config.profile" value="mine"/></properties>
<properties id="mine">
<property name="omero.config.version" value="5.1.0"/>
<property name="omero.db.pass" value="s3cret"/>
<property name="omero.web.caches" value="redis://u:s3cret@host"/>
<property name="omero.web.apps" value="[&quot;b&quot;, &quot;a&quot;]"/>
</properties>
<properties id="default"><property name="a" value="1"/></properties>
</icegrid>"""


@pytest.fixture(name='read')
def read_fixture(path):
    write(path, CONFIGURATION)
    return lambda **arguments: run_module('omero_config_info', dict({'path': path}, **arguments))


def test_properties_are_returned_as_omero_reads_them(read, path):
    result = read()
    assert result['settings'] == {
        'omero.db.pass': '********', 'omero.web.caches': 'redis://********@host', 'omero.web.apps': '["b", "a"]'}
    assert (result['exists'], result['changed'], result['path']) == (True, False, path)
    assert (result['profile'], result['profiles']) == ('mine', ['default', 'mine'])
    assert 's3cret' not in result.text


def test_secrets_on_request(read):
    settings = read(show_secrets=True)['settings']
    assert (settings['omero.db.pass'], settings['omero.web.caches']) == ('s3cret', 'redis://u:s3cret@host')


def test_another_profile(read):
    result = read(profile='default')
    assert (result['settings'], result['profile']) == ({'a': '1'}, 'default')


def test_reading_changes_nothing(read, path):
    os.utime(path, (1, 1))
    before = os.stat(path).st_ino, os.stat(path).st_mtime, os.listdir(os.path.dirname(path))
    read()
    assert content_of(path) == CONFIGURATION
    assert (os.stat(path).st_ino, os.stat(path).st_mtime, os.listdir(os.path.dirname(path))) == before


def test_no_configuration_is_no_error(read, path):
    os.unlink(path)
    result = read()
    assert (result['exists'], result['settings'], result['profile'], result['profiles']) == (False, {}, 'default', [])
    assert not os.path.exists(path)
