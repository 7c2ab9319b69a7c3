"""What a site looks like by itself: pictures, other static files and templates on the controller, found and checked.

It is no action, and part of omero_web_arguments, which has it look for what omero_web_branding names.
"""

import hashlib
from pathlib import Path

PICTURES = (".gif", ".jpg", ".png", ".svg", ".webp")
# They go to every host in an argument of a module.
MOST_MB = 8


class Problem(Exception):
    """What is wrong with omero_web_branding, in one sentence with the remedy."""


def collected(branding, logo_beginning, find):
    """Return the variable with `files`, paths here by those in a release, and a `digest` of all that is in them.

    `find` returns the path of what the site names, or raises LookupError.
    """
    files = {}
    for key in ("static", "templates"):
        if branding.get(key):
            top = existing(branding, key, find)
            if not top.is_dir():
                raise Problem(f"omero_web_branding.{key} is {branding[key]}, which is no directory; name one.")
            files.update({f"{key}/{path.relative_to(top)}": path for path in sorted(top.rglob("*")) if path.is_file()})
    if branding.get("logo"):
        path = existing(branding, "logo", find)
        if path.suffix.lower() not in PICTURES:
            raise Problem(
                f"omero_web_branding.logo is {branding['logo']}; it must be a picture, with a name that ends with "
                f"{', '.join(PICTURES)}."
            )
        # Browsers keep pictures for long, so another one has another name.
        files[f"{logo_beginning}{digest_of(path)[:8]}{path.suffix.lower()}"] = path
    size = sum(path.stat().st_size for path in files.values()) / 1e6
    if size > MOST_MB:
        raise Problem(f"The files of omero_web_branding are {size:.0f} MB, and {MOST_MB} are the most; leave some out.")
    digests = "\n".join(f"{name} {digest_of(path)}" for name, path in sorted(files.items()))
    digest = hashlib.sha256(digests.encode()).hexdigest() if files else ""
    return {**branding, "files": {name: str(path) for name, path in files.items()}, "digest": digest}


def existing(branding, key, find):
    try:
        return Path(find(branding[key]))
    except LookupError:
        raise Problem(
            f"omero_web_branding.{key} is {branding[key]}, which is not on this controller; give its path, absolute or "
            "below files/ beside the playbook."
        ) from None


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
