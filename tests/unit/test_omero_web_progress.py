"""Whoever waits for a task of the role is told that it goes on, without anything to enable."""

import re
import subprocess
import sys

from conftest import ROOT

CALLBACK = "roles/omero-web/callback_plugins/omero_web_progress.py"
TASKS = """
- name: Take no time
  ansible.builtin.command: "true"
- name: Take a while
  ansible.builtin.command: sleep 5
"""
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: one}
    - name: Another's
      ansible.builtin.command: sleep 5
"""


def test_long_tasks_of_the_role_are_told(tmp_path):
    role = tmp_path / "roles/one"
    (role / "callback_plugins").mkdir(parents=True)
    (role / "tasks").mkdir()
    with open(f"{ROOT}/{CALLBACK}") as source:
        (role / "callback_plugins/progress.py").write_text(source.read().replace("SECONDS = 20", "SECONDS = 3"))
    (role / "tasks/main.yml").write_text(TASKS)
    (tmp_path / "site.yml").write_text(PLAYBOOK)
    (tmp_path / "hosts").write_text(f"web[1:2] ansible_connection=local ansible_python_interpreter={sys.executable}\n")
    done = subprocess.run(["ansible-playbook", "-i", "hosts", "site.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.findall(r'(?m)^(.+): goes on with "(.+)", [345] s so far$', done.stdout)
    assert set(told) == {("web1, web2", "Take a while")}
