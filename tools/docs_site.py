"""MkDocs hooks: show the repository files that pages link to; report undocumented public names.

Pages link to files as GitHub does, relative to the page. A link out of `docs/` (a benchmark table, a cluster
file) has no target in a site, so each such file becomes part of it under `repository/`. A link to a file
that does not exist is left as it is, and MkDocs reports it.
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
# Methods that transformers and torch define; their documentation is theirs.
INHERITED = {"forward", *(f"{verb}_{end}put_embeddings" for verb in ("get", "set") for end in ("in", "out"))}
log = logging.getLogger("mkdocs.hooks.docs_site")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside `docs/` that pages link to, and the ones that those link to."""
    found: set[str] = set()
    pages = files.documentation_pages()
    waiting = [place for page in pages for place in linked(page.content_string, _place(page.src_uri))]
    while waiting:
        place = waiting.pop()
        file = ROOT / place
        if not place.startswith("docs/") and place not in found and file.is_file():
            found.add(place)
            waiting += linked(file.read_text(encoding="utf-8"), place) if file.suffix == ".md" else []
    for place in sorted(found):
        files.append(File.generated(config, f"{COPIES}/{place}", content=(ROOT / place).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the places that files have in the site."""
    return in_site(markdown, _place(page.file.src_uri))


def on_pre_build(config: MkDocsConfig) -> None:
    """Warn of each public name in the API reference without a docstring: an error under `--strict`."""
    pages = Path(config.docs_dir, "api").glob("*.md")
    names = [name for page in sorted(pages) for name in IDENTIFIER.findall(page.read_text(encoding="utf-8"))]
    for name in undocumented(names, [ROOT / "src", ROOT]):
        log.warning("%s has no docstring", name)


def linked(markdown: str, place: str) -> list[str]:
    """Files of the repository that the text of its file `place` links to."""
    return [normpath(f"{dirname(place)}/{target}".lstrip("/")) for target in LINK.findall(markdown)]


def in_site(markdown: str, place: str) -> str:
    """The text of the repository's file `place` with links as the site needs them."""
    folder, source = dirname(place), dirname(_uri(place))

    def moved(match: re.Match[str]) -> str:
        target = normpath(f"{folder}/{match[1]}".lstrip("/"))
        return relpath(_uri(target), source or ".") if (ROOT / target).is_file() else match[1]

    return LINK.sub(moved, markdown)


def undocumented(names: list[str], folders: list[Path]) -> list[str]:
    """Public names without a docstring in these modules, as `package.module.name`.

    A method needs none where a protocol of the same package, or transformers, describes it.
    """
    packages = {name.split(".")[0] for name in names}
    loaded = {package: griffe.load(package, search_paths=folders) for package in sorted(packages)}
    described = {package: {*_protocol_methods(root), *INHERITED} for package, root in loaded.items()}
    return [
        path
        for package, _, rest in (name.partition(".") for name in names)
        for path in _bare(loaded[package][rest] if rest else loaded[package])
        if path.split(".")[-1] not in described[package]
    ]


def _bare(item: griffe.Object | griffe.Alias) -> Iterator[str]:
    if not item.has_docstring:
        yield item.path
    for member in item.members.values():
        shown = not member.is_alias and (member.is_class or member.is_function)
        if shown and not member.name.startswith("_"):
            yield from _bare(member)


def _protocol_methods(item: griffe.Object | griffe.Alias) -> Iterator[str]:
    for member in item.members.values():
        if member.is_alias:
            continue
        if member.is_module:
            yield from _protocol_methods(member)
        elif member.is_class and any(str(base) == "Protocol" for base in getattr(member, "bases", ())):
            yield from (name for name, method in member.members.items() if method.has_docstring)


def _place(src_uri: str) -> str:
    """A page's path in the repository."""
    outside = src_uri.startswith(f"{COPIES}/")
    return src_uri.removeprefix(f"{COPIES}/") if outside else f"docs/{src_uri}"


def _uri(place: str) -> str:
    """A file's path among the site's sources."""
    return place.removeprefix("docs/") if place.startswith("docs/") else f"{COPIES}/{place}"
