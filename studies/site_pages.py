"""Adds to the documentation what is not in docs/: a hook of mkdocs, see mkdocs.yml.

These are the reference pages made from the code, the notebooks, and files outside of
docs/ that are pages of the site, too.
"""

import pathlib
import re
import sys

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).parents[1]
FROM_OUTSIDE = {
    "internals/architecture.md": "ARCHITECTURE.md",
    "internals/contributing.md": "CONTRIBUTING.md",
    "notebooks/index.md": "notebooks/README.md",
}

# A script element that names another host, in its tag or in its text.
_FOREIGN_SCRIPT = re.compile(
    r"<script\b(?:(?!</script>).)*https?://(?:(?!</script>).)*</script>", re.DOTALL
)


@event_priority(100)  # before the plugin that turns notebooks into pages
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    sys.path.insert(0, str(ROOT))  # the command `mkdocs` does not look here
    from studies import reference

    pages = {
        "reference/config.md": reference.config_page(),
        "reference/commands.md": reference.commands_page(),
    }
    for page, path in FROM_OUTSIDE.items():
        pages[page] = (ROOT / path).read_text().replace("](docs/", "](../")
    for page, content in pages.items():
        files.append(File.generated(config, page, content=content))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        where = (str(ROOT), config.site_dir, config.use_directory_urls)
        files.append(File(f"notebooks/{path.name}", *where))
    return files


def on_page_content(html: str, page: Page, **kwargs: object) -> str:
    """Makes the links of a notebook to files of the repository links to pages.

    Scripts of other hosts are removed: they draw formulas and diagrams, of which our
    notebooks have none.
    """
    if not page.file.src_uri.endswith(".ipynb"):
        return html
    html = _FOREIGN_SCRIPT.sub("", html)
    html = html.replace('href="../README.md"', 'href="../../start/first_run/"')
    html = re.sub(r'href="\.\./docs/([\w/]+)\.md"', r'href="../../\1/"', html)
    return html.replace('href="../docs/', 'href="../../')
