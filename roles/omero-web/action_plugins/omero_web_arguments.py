"""Action: check the role's variables against its argument spec, and say everything that is wrong in plain sentences.

Ansible checks the same spec when a role starts, but prints the whole of it with any error, and it cannot know a
misspelt variable. Runs on the controller; touches no host.
"""

import difflib
import re

from ansible.errors import AnsibleActionFail, AnsibleTemplateError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

PREFIX = "omero_web_"
PROPERTY_DICTS = ("omero_web_config", "omero_web_secrets", "omero_web_config_append")
PROPERTY = re.compile(r"[A-Za-z][\w-]*(\.[\w-]+)+")


def unknown_variables(names, spec):
    """Sentences on variables that look like the role's own and are not."""
    for name in sorted(set(names) - set(spec)):
        if name.startswith(PREFIX):
            near = difflib.get_close_matches(name, spec, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"names that start with {PREFIX} belong to the role."
            yield f"{name} is not a variable of the role omero-web; {remedy}"


def bad_properties(name, properties):
    """Sentences on a dictionary of OMERO properties whose keys are none."""
    if not isinstance(properties, dict):
        kind = type(properties).__name__
        yield f"{name} must be a dictionary of OMERO properties, such as {{omero.web.debug: false}}, and is a {kind}."
        return
    for key in properties:
        if not PROPERTY.fullmatch(str(key)):
            yield f"{name} has the key {str(key)!r}, which is no OMERO property; a property is dotted, as omero.web.debug."


def bad_values(values, spec):
    """What Ansible's own validation says of the values, a sentence each."""
    result = ArgumentSpecValidator(spec).validate(values)
    for message in result.error_messages:
        yield message[0].upper() + message[1:].rstrip(".") + "."


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("spec",))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        spec = self._task.args["spec"]
        problems = list(unknown_variables(task_vars, spec))
        values = {}
        for name in spec:
            try:
                values[name] = self._templar.template(task_vars.get(name))
            except AnsibleTemplateError as error:
                problems.append(f"{name} cannot be evaluated: {error.message}")
        for name in PROPERTY_DICTS:
            if name in values:
                problems += bad_properties(name, values.pop(name))
        problems += bad_values(values, {name: spec[name] for name in values})
        if problems:
            raise AnsibleActionFail("\n".join(problems))
        return {**result, "changed": False}
