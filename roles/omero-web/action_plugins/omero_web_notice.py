"""Notices of changes: no action, but what the actions of this role tell a webhook and a command on the controller."""

import json
import subprocess
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ansible.module_utils.urls import open_url

# Nobody waits longer for those who are told.
TIMEOUT = 10


def notice_of(host, instance, planned, by, seconds, reason):
    """Return what is told of a change; `text` is all of it in a sentence, which chats show as it is."""
    notice = {
        "host": host,
        "instance": instance,
        "from": planned["live"],
        "to": planned["generation"],
        "by": by,
        "says": planned["says"],
        "outcome": "failed" if reason else "done",
        "reason": reason,
        "seconds": round(seconds, 1),
    }
    change = f"generation {notice['from']} to {notice['to']}" if notice["from"] else f"generation {notice['to']}"
    text = f"{instance} on {host}: {change}, {notice['outcome']} after {notice['seconds']} s, by {by}."
    return {**notice, "text": f"{text} {reason or '; '.join(planned['says'])}"}


def problems_of_telling(notice, url, command):
    """Tell them, and yield a sentence for each who could not be told; never with the URL, which may be a secret."""
    for tell, where in (_post, url), (_run, command):
        problem = tell(notice, where) if where else ""
        if problem:
            yield f"{notice['host']}: the change is {notice['outcome']}, and {problem}."


def _post(notice, url):
    whom = f"the webhook at {urlsplit(url).hostname} (omero_web_notify_url)"
    try:
        headers = {"Content-Type": "application/json"}
        open_url(url, method="POST", data=json.dumps(notice).encode(), headers=headers, timeout=TIMEOUT).close()
    except HTTPError as error:
        return f"{whom} answers {error.code}"
    except Exception as error:  # Of whatever kind: it never fails a run.
        return f"{whom} could not be told ({getattr(error, 'reason', '') or type(error).__name__})".replace(url, "URL")
    return ""


def _run(notice, command):
    whom = f"the command {command[0]} (omero_web_notify_command)"
    try:
        done = subprocess.run(
            command, input=json.dumps(notice).encode(), capture_output=True, check=False, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{whom} could not be told ({getattr(error, 'strerror', '') or f'no end within {TIMEOUT} s'})"
    complaint = " ".join(done.stderr.decode(errors="replace").split())[:200]
    return f"{whom} ended with code {done.returncode}: {complaint or 'it said nothing'}" if done.returncode else ""
