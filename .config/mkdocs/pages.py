"""Hooks of MkDocs: pages of the site that stand outside docs/, links that lead there or to files that are no pages, and
diagrams."""

import re
from pathlib import Path, PurePosixPath

from mkdocs.structure.files import File
from pymdownx.superfences import fence_code_format

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "start.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
}
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#]+)")


def on_config(config):
    # In mkdocs.yml it would be a tag that no other reader of YAML knows.
    mermaid = {"name": "mermaid", "class": "mermaid", "format": fence_code_format}
    config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [mermaid]}


def on_files(files, config):
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    files.append(File.generated(config, "tables.css", content=Path(__file__).with_name("tables.css").read_text()))
    return files


def on_page_markdown(markdown, page, config, files):
    """Let each link lead where it does in the repository: to a page of the site, or to the repository itself."""
    generated = {page: source for source, page in PAGES.items()}
    source = PurePosixPath(generated.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def target_of(match):
        path = re.sub(r"(^|/)(?!\.\./)[^/]+/\.\./", r"\1", str(source.parent / match[1]))
        if path in PAGES:
            return PAGES[path]
        inside = path.removeprefix("docs/")
        if path.startswith("docs/") and files.get_file_from_path(inside):
            return inside
        if not (ROOT / path).exists():
            return match[1]
        return f"{config.extra['repository']}/blob/main/{path}"

    return LINK.sub(target_of, markdown)
