"""MkDocs hooks: show the repository files that pages link to; report undocumented public names.

Links in pages are relative to the page, as on GitHub. A link to a file outside `docs/` (a benchmark table, a
cluster file) has no target in the site, so the file is added to the site under `repository/`. A link to a
missing file is not changed, and MkDocs reports it.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, normpath, relpath

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
COPIES = "repository"  # folder of the site with files from outside docs/
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)#\s]+)")
IDENTIFIER = re.compile(r"^::: ([\w.]+)$", re.M)
# Methods that transformers and torch define and document.
INHERITED = {"forward", *(f"{verb}_{end}put_embeddings" for verb in ("get", "set") for end in ("in", "out"))}
log = logging.getLogger("mkdocs.hooks.docs_site")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside `docs/` that pages link to, directly or through other such files."""
    found: set[str] = set()
    pages = files.documentation_pages()
    queue = [path for page in pages for path in linked(page.content_string, _repository_path(page.src_uri))]
    while queue:
        path = queue.pop()
        file = ROOT / path
        if not path.startswith("docs/") and path not in found and file.is_file():
            found.add(path)
            queue += linked(file.read_text(encoding="utf-8"), path) if file.suffix == ".md" else []
    for path in sorted(found):
        files.append(File.generated(config, f"{COPIES}/{path}", content=(ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace links to files by their paths in the site."""
    return in_site(markdown, _repository_path(page.file.src_uri))


def on_pre_build(config: MkDocsConfig) -> None:
    """Warn about public names in the API reference without a docstring; `--strict` makes it an error."""
    pages = Path(config.docs_dir, "api").glob("*.md")
    names = [name for page in sorted(pages) for name in IDENTIFIER.findall(page.read_text(encoding="utf-8"))]
    for name in undocumented(names, [ROOT / "src", ROOT]):
        log.warning("%s has no docstring", name)


def linked(markdown: str, path: str) -> list[str]:
    """Files of the repository that `markdown`, the text of the file `path`, links to."""
    return [normpath(f"{dirname(path)}/{target}".lstrip("/")) for target in LINK.findall(markdown)]


def in_site(markdown: str, path: str) -> str:
    """`markdown`, the text of the repository's file `path`, with its links changed for the site."""
    folder, source = dirname(path), dirname(_uri(path))

    def replace(match: re.Match[str]) -> str:
        target = normpath(f"{folder}/{match[1]}".lstrip("/"))
        return relpath(_uri(target), source or ".") if (ROOT / target).is_file() else match[1]

    return LINK.sub(replace, markdown)


def undocumented(names: list[str], folders: list[Path]) -> list[str]:
    """Public names without a docstring in these modules, as `package.module.name`.

    A method needs none if a protocol of the same package, or transformers, documents it.
    """
    packages = {name.split(".")[0] for name in names}
    loaded = {package: griffe.load(package, search_paths=folders) for package in sorted(packages)}
    described = {package: {*_protocol_methods(root), *INHERITED} for package, root in loaded.items()}
    return [
        path
        for package, _, rest in (name.partition(".") for name in names)
        for path in _without_docstring(loaded[package][rest] if rest else loaded[package])
        if path.split(".")[-1] not in described[package]
    ]


def _without_docstring(item: griffe.Object | griffe.Alias) -> Iterator[str]:
    if not item.has_docstring:
        yield item.path
    for member in item.members.values():
        shown = not member.is_alias and (member.is_class or member.is_function)
        if shown and not member.name.startswith("_"):
            yield from _without_docstring(member)


def _protocol_methods(item: griffe.Object | griffe.Alias) -> Iterator[str]:
    for member in item.members.values():
        if member.is_alias:
            continue
        if member.is_module:
            yield from _protocol_methods(member)
        elif member.is_class and any(str(base) == "Protocol" for base in getattr(member, "bases", ())):
            yield from (name for name, method in member.members.items() if method.has_docstring)


def _repository_path(src_uri: str) -> str:
    """The path of a page in the repository."""
    outside = src_uri.startswith(f"{COPIES}/")
    return src_uri.removeprefix(f"{COPIES}/") if outside else f"docs/{src_uri}"


def _uri(path: str) -> str:
    """The path of a repository file among the site's sources."""
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{COPIES}/{path}"
