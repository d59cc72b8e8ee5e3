"""The pages that `make docs` generates, and the links and pictures of all pages."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import GALLERY
from covering import covering

import rnnspec
from docs.generate.__main__ import pages
from docs.generate.examples import ROOT
from docs.generate.navigation import configuration
from docs.generate.playground import link_to_site, links
from docs.generate.reference.codes import PLACES
from docs.generate.reference.commands import all_commands
from docs.generate.written import relink
from docs.generate.zoo import LINES
from rnnspec import errors
from rnnspec.backends import having
from rnnspec.backends.needs import SOURCE
from rnnspec.pages import codes
from rnnspec.spec.models import Model
from rnnspec.spec.zoo import zoo_names
from rnnspec.version import RELEASED
from rnnspec.words import MEANINGS

Site = Mapping[str, str | bytes]


@pytest.fixture(scope="module")
def site() -> Site:
    return pages()


def written(site: Site) -> Iterator[tuple[str, str]]:
    for place, text in site.items():
        if place.endswith(".md") and isinstance(text, str):
            yield place, re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def test_a_link_leads_to_a_file(site: Site) -> None:
    for place, text in written(site):
        for link in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", text):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(place), link))
            assert target in site, f"{place}: {link}"


def test_a_cell_of_the_zoo_has_its_equations_its_picture_and_its_row(site: Site) -> None:
    page = str(site["gallery/cells.md"])
    parts = page.split("\n## ")[1:]
    entries = {part.partition(" ")[0]: part for part in parts}
    assert list(entries) == list(zoo_names())
    assert entries.keys() > LINES.keys()
    for name, entry in entries.items():
        cell = rnnspec.load(ROOT / "specs/cells" / f"{name}.yaml")
        (formula,) = re.findall(r"<math .*?</math>", entry)
        (row,) = re.findall(
            rf"^\| \[{name}\]\(#{name}\) \| (.+) \| \[(.+)\]\(https?://.+\)"
            r" \| (\d+) \| (\d+) \| ([\d,]+) \|",
            page,
            re.MULTILINE,
        )
        assert row[0] in entry
        assert row[2] in row[1]
        assert formula.count('<mtd style="text-align: right') >= int(row[3])
        # A cell of several inputs is behind what puts them side by side.
        parameters = [layer.parameters for layer in rnnspec.summary(cell).layers]
        assert int(row[4].replace(",", "")) == next(filter(None, parameters))
        assert f"{cell.description}\n" in entry
        assert f"gallery/cells/{name}.svg" in site


def test_a_table_is_a_block_of_its_own(site: Site) -> None:
    for place, text in written(site):
        for before in re.findall(r"^(.*)\n *\|.*\n *\|[-: |]+\|$", text, re.MULTILINE):
            assert not before.strip(), f"{place}: a table after {before!r}"


def test_a_page_is_in_the_navigation(site: Site) -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    found = set(entries(yaml.safe_load(configuration(text, site))["nav"]))
    assert found == {place for place in site if place.endswith(".md")}


def entries(nav: Any) -> Iterator[str]:
    match nav:
        case str():
            yield nav
        case list():
            for each in nav:
                yield from entries(each)
        case _:
            yield from entries(list(nav.values()))


def test_the_playground_is_in_the_navigation_if_it_is_built() -> None:
    text = "site_name: x\nnav: [{Home: index.md}, {Playground: playground/}]"
    assert "playground" not in configuration(text, ["index.md"])
    assert "Playground: playground/index.html" in configuration(text, ["playground/index.html"])


def test_the_playground_links_to_pages_of_the_site_or_of_the_repository(
    site: Site, tmp_path: Path
) -> None:
    url = "https://github.com/someone/rnnspec"
    pages = {"Tutorial": "tutorial/first", "Language": "reference/language"}
    inside, alone = (link_targets(links(url, in_site=in_site)) for in_site in (True, False))
    assert inside == {
        **{title: f"../{page}.html" for title, page in pages.items()},
        "Repository": url,
    }
    assert alone == {
        **{title: f"{url}/blob/main/docs/{page}.md" for title, page in pages.items()},
        "Repository": url,
    }
    for page in pages.values():
        assert f"{page}.md" in site
        assert (ROOT / "docs" / f"{page}.md").is_file()
    # Before the first release, nothing leads to a repository.
    assert links(None, in_site=False) == ""
    assert list(link_targets(links(None, in_site=True))) == list(pages)

    source = (ROOT / "playground/page/index.html").read_text(encoding="utf-8")
    built = tmp_path / "index.html"
    built.write_text(source, encoding="utf-8")
    link_to_site(built)
    link_to_site(built)  # the links of before are replaced
    assert link_targets(built.read_text(encoding="utf-8"))["Tutorial"] == inside["Tutorial"]
    assert built.read_text(encoding="utf-8").count("../tutorial/first.html") == 1


def link_targets(html: str) -> dict[str, str]:
    return {
        title: target for target, title in re.findall(r'<a href="([^"]*)"[^>]*>(\w+)</a>', html)
    }


def test_the_site_follows_the_owner_of_the_repository() -> None:
    url = "https://github.com/someone/rnnspec"
    config = configuration("site_name: x\nnav: []", [], url)
    assert f"link: {url}\n" in config
    assert "repo_url" not in config  # with which pages ask api.github.com
    assert "site_url: https://someone.github.io/rnnspec/\n" in config


def test_pages_install_from_where_rnnspec_is(site: Site) -> None:
    of_clone = r"pip install '?\.|no release yet"
    of_release = r"pip install (rnnspec|['\"]rnnspec(\[\w+\])?['\"])"
    wrong = of_clone if RELEASED else of_release
    for place, text in site.items():
        if not place.startswith("project/"):
            assert not re.search(wrong, str(text)), place


def test_a_spec_of_the_gallery_has_its_picture_its_count_and_its_sources(site: Site) -> None:
    few = covering(GALLERY)
    for path in GALLERY:
        spec, page = rnnspec.load(path), str(site[f"gallery/{path.stem}.md"])
        assert f"gallery/{path.stem}.svg" in site
        if path in few:
            assert site[f"gallery/{path.stem}.svg"] == str(rnnspec.draw(spec))
        assert f"**{rnnspec.summary(spec).parameters.total:,}**" in page
        tabs = re.findall(r'^=== "(.*)"$', page, re.MULTILINE)
        assert tabs == ["Spec", *(backend.source_title for backend in having(SOURCE))]


def test_a_card_of_the_gallery_says_what_the_network_can_be_filtered_by(site: Site) -> None:
    page = str(site["gallery/index.md"])
    rows = dict(
        re.findall(
            r"\*\*\[(\w+)\]\(.*?^    \*([^*]+)\*\{ \.kinds \}$", page, re.MULTILINE | re.DOTALL
        )
    )
    assert list(rows) == sorted(path.stem for path in (ROOT / "specs").glob("*.yaml"))
    assert {"Bidirectional", "GRU"} <= set(rows["gru_stack_both_ways"].split(", "))
    assert "several outputs" in rows["noise_suppression_gru"].split(", ")


def test_every_option_of_every_command_is_in_the_reference(site: Site) -> None:
    commands = dict(all_commands())
    sections = dict(
        re.findall(
            r"^## ([\w ]+)\n(.*?)(?=^## |\Z)",
            str(site["reference/options.md"]),
            re.DOTALL | re.MULTILINE,
        )
    )
    assert list(sections) == list(commands)
    for name, command in commands.items():
        for option in command.params:
            if option.param_type_name != "argument":
                assert (f"`{option.opts[0]}`" in sections[name]) != option.hidden


def test_every_key_is_in_the_reference(site: Site) -> None:
    page = str(site["reference/keys.md"])
    for model in Model.__subclasses__():
        for name, field in model.model_fields.items():
            key = field.alias or name
            (*_, line) = re.findall(rf"^\| `{key}`.*$", page, re.MULTILINE)
            assert line
            assert (field.description or "") in page
    for meanings in MEANINGS.values():
        for value, meaning in meanings.items():
            assert f"| `{value}` | {meaning} |" in page


def test_json_is_shown_as_commands_print_it(site: Site) -> None:
    page = str(site["reference/json.md"])
    shown = [json.loads(each) for each in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert shown[0] == rnnspec.summary(ROOT / "specs" / "gru_stack_both_ways.yaml").as_dict()
    assert [each["code"] for each in shown[1]["files"][0]["problems"]] == ["E301"]
    assert shown[2]["same"] is False


def test_every_code_has_a_section(site: Site) -> None:
    pages = "".join(str(site[place]) for place in PLACES.values())
    assert re.findall(r"^\| \[(\w+)\]", pages, re.MULTILINE) == list(codes())
    assert re.findall(r"^## (\w+): .* \{ #\w+ \}$", pages, re.MULTILINE) == list(codes())


def test_every_exit_code_is_in_the_reference(site: Site) -> None:
    page = str(site["reference/exit-codes.md"])
    written = str(site["reference/commands.md"]).partition("## Exit codes")[2]
    cells = re.findall(r"^\| ([\d, ]+) \|", written, re.MULTILINE)
    by_hand = set(", ".join(cells).split(", "))
    assert by_hand == {"0", *re.findall(r"(?<=\| )\d+(?= \|)", page)}
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.RnnspecError):
            assert error.__name__.startswith("_") or f"errors.{error.__name__}`" in page


def test_every_public_function_is_in_the_reference(site: Site) -> None:
    names = [name for name in rnnspec.__all__ if not name.startswith("_")]
    found = re.findall(r"^::: (\S+)$", str(site["reference/api.md"]), re.MULTILINE)
    assert [f"rnnspec.{name}" for name in names] == found[: len(names)]
    assert "rnnspec.spec.models.Spec" in found


def test_a_link_out_of_docs_is_followed_into_the_site_or_refused() -> None:
    assert relink("[a](../CHANGELOG.md#b)", "docs/x.md") == "[a](project/changelog.md#b)"
    assert relink("[a](../x.md)", "docs/guides/y.md") == "[a](../x.md)"
    assert relink("[a](../../rnnspec/pages/E301.md)", "docs/guides/y.md") == (
        "[a](../reference/errors.md#e301)"
    )
    assert relink("[a](../specs/net.yaml)", "docs/y.md") == "[a](gallery/net.md)"
    with pytest.raises(ValueError, match=r"received '\.\./Makefile'"):
        relink("[a](../Makefile)", "docs/x.md")
