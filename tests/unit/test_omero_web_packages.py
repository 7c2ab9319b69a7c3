"""What a package manager says when it refuses, in one sentence."""

import runpy
from pathlib import Path

import pytest

ACTION = Path(__file__).parents[2] / "roles/omero-web/action_plugins/omero_web_packages.py"
refusal = runpy.run_path(str(ACTION))["refusal"]


@pytest.mark.parametrize(
    "result, sentence",
    [
        (
            {"msg": "Failed to install some of the specified packages", "failures": ["No package redis available."]},
            "web cannot install redis: No package redis available (no repository that is enabled there has it: "
            "`dnf repolist --all` or `apt-cache policy` shows which there are).",
        ),
        (
            {"msg": "No package matching 'redis' is available"},
            "web cannot install redis: No package matching 'redis' is available (no repository that is enabled there "
            "has it: `dnf repolist --all` or `apt-cache policy` shows which there are).",
        ),
        (
            {"msg": "Failed to validate GPG signature for redis-6.2.7-1.el9.x86_64: Package redis.rpm is not signed"},
            "web cannot install redis: Failed to validate GPG signature for redis-6.2.7-1.el9.x86_64: Package "
            "redis.rpm is not signed (a package is installed only if the key of its repository has signed it).",
        ),
        (
            {"msg": "Failed to download metadata for repo 'baseos': Cannot download repomd.xml"},
            "web cannot install redis: Failed to download metadata for repo 'baseos': Cannot download repomd.xml (a "
            "repository does not answer: give it another address, or disable it).",
        ),
        (
            {"failures": ["redis All matches were filtered out by modular filtering for argument: redis"]},
            "web cannot install redis: All matches were filtered out by modular filtering for argument: redis (the "
            "stream of its module that is enabled there has none: `dnf module list` shows the streams, and `dnf module "
            "reset` takes the choice back).",
        ),
        (
            {
                "msg": "MODULE FAILURE\nSee stdout/stderr for the exact error",
                "module_stderr": "Traceback (most recent call last):\n  File\nOSError: Curl error (37): No /key [/]\n",
            },
            "web cannot install redis: Curl error (37): No /key [/] (the key of a repository cannot be had: look for "
            "gpgkey in /etc/yum.repos.d).",
        ),
        (
            {"msg": "Status code: 401 for https://me:hunter2@mirror.example.org/repomd.xml"},
            "web cannot install redis: Status code: 401 for https://********@mirror.example.org/repomd.xml (a "
            "repository does not answer: give it another address, or disable it).",
        ),
        ({"msg": "The disk is\n  full.\n"}, "web cannot install redis: The disk is full."),
        ({"msg": "", "failures": []}, "web cannot install redis: it does not say why."),
        ({}, "web cannot install redis: it does not say why."),
    ],
)
def test_one_sentence(result, sentence):
    assert refusal(result, ["redis"], "web") == sentence


def test_all_that_is_missing_is_named():
    failures = ["No package nginx available.", "No package redis available."]
    said = refusal({"failures": failures}, ["logrotate", "nginx", "redis"], "web")
    assert said.startswith("web cannot install logrotate, nginx, redis: No package nginx available.; No package redis")


def test_a_log_is_cut_in_the_middle():
    said = refusal({"msg": "E: the beginning " + "log " * 1000 + "the end"}, ["redis"], "web")
    assert said.startswith("web cannot install redis: E: the beginning log")
    assert said.endswith("log the end.")
    assert len(said) < 450
