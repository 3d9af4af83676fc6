"""What mkdocs calls to show pages that stand outside docs/, links mended."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# Pages of the site by where they stand in the repository.
OUTSIDE = {
    "README.md": "index.md",
    "deploy/README.md": "deploy.md",
    "DECISIONS.md": "decisions.md",
    "CHANGELOG.md": "changelog.md",
}
SOURCES = {page: source for source, page in OUTSIDE.items()}
LINK = re.compile(r"(?<=\]\()(?P<path>[^)#\s:]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside docs/."""
    root = Path(config.config_file_path).parent
    for source, page in OUTSIDE.items():
        files.append(
            File.generated(config, page, abs_src_path=str(root / source))
        )
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Have links of the repository lead to pages of the site."""
    name = page.file.src_uri
    return with_links_of_the_site(
        markdown, source=SOURCES.get(name, f"docs/{name}")
    )


def with_links_of_the_site(markdown: str, source: str) -> str:
    """Rewrite links to what the site shows under another path.

    Parameters
    ----------
    markdown : str
    source : str
        Where it stands in the repository.

    Examples
    --------
    >>> with_links_of_the_site("[how](docs/sql.md#bands)", "README.md")
    '[how](sql.md#bands)'
    >>> with_links_of_the_site("[deploy](../deploy/README.md)", "docs/a.md")
    '[deploy](deploy.md)'
    """

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(
            posixpath.join(posixpath.dirname(source), link["path"])
        )
        if target in OUTSIDE:
            return OUTSIDE[target]
        if target.startswith("docs/"):
            return target.removeprefix("docs/")
        return link["path"]

    return LINK.sub(moved, markdown)
