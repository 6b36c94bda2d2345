"""The pages of the list of runs: every run on one of them, whatever comes meanwhile, and no look farther than is said."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client

from durable_workflows.admin import looking
from durable_workflows.admin.runs import WorkflowRunAdmin
from durable_workflows.models import WorkflowRun
from tests.admin.conftest import RUNS
from tests.admin.html import read
from tests.admin.rows import ago, make_run

pytestmark = pytest.mark.django_db

SIZE = 3


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkflowRunAdmin, "list_per_page", SIZE)


def made(number: int, *, at_once: bool = False, **fields: str) -> list[str]:
    """So many runs, oldest first."""
    start = ago(hours=1)
    moments = [start if at_once else ago(hours=1, seconds=-second) for second in range(number)]
    return [make_run(id=f"run-{i:03}", created_at=moment, **fields).pk for i, moment in enumerate(moments)]


def opened(client: Client, query: str) -> tuple[list[str], dict[str, str], str]:
    """The ids on a page, its links by their ``rel``, and its text."""
    html = client.get(RUNS + query).content.decode()
    ids = re.findall(r'name="_selected_action" value="([^"]*)"', html)
    links = re.findall(r'href="([^"]*)" rel="(prev|next)"', html)
    return ids, {rel: unescape(link) for link, rel in links}, html


def walk(client: Client, query: str, rel: str = "next") -> list[list[str]]:
    """The pages from one on; each link has what the address had."""
    pages = []
    while True:
        ids, links, _html = opened(client, query)
        pages.append(ids)
        if rel not in links:
            return pages
        query = links[rel]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("query", ["?", "?o=7", "?queue=mail", "?queue=mail&o=7", "?status__exact=WAITING", "?q=run-&o=7"])
def test_each_run_is_on_one_page_in_either_order(admin_client: Client, query: str, at_once: bool) -> None:
    ids = made(11, at_once=at_once, queue="mail", status="WAITING")
    make_run(id="another", created_at=ago(days=9), queue="slow", status="SUCCESS")
    make_run(id="x-newest", created_at=ago(seconds=0), queue="slow", status="SUCCESS")
    expected = [*ids] if query not in ("?", "?o=7") else ["another", *ids, "x-newest"]
    if "o=7" not in query:
        expected.reverse()
    pages = walk(admin_client, query)
    assert [run_id for page in pages for run_id in page] == expected
    assert [len(page) for page in pages[:-1]] == [SIZE] * (len(pages) - 1)
    links = opened(admin_client, query)[1]
    for _page in pages[2:]:
        links = opened(admin_client, links["next"])[1]
    back = walk(admin_client, links["next"], "prev")
    assert back[0] == pages[-1]
    assert back[:-1] == pages[: -len(back) : -1]
    assert back[-1] == pages[0]


def test_runs_that_come_meanwhile_move_none(admin_client: Client) -> None:
    ids = made(9)
    first, links, _html = opened(admin_client, "?")
    newer = make_run(created_at=ago(seconds=1)).pk
    second, links_of_second, html = opened(admin_client, links["next"])
    assert [*first, *second] == ids[: -SIZE * 2 - 1 : -1]
    WorkflowRun.objects.filter(pk=second[0]).update(status="SUCCESS")
    WorkflowRun.objects.filter(pk=second[0]).delete()  # the place is kept although its run is gone
    assert opened(admin_client, links_of_second["next"])[0] == ids[2::-1]
    assert opened(admin_client, links_of_second["prev"])[0] == first
    assert opened(admin_client, "?")[0] == [newer, *first[:2]]
    assert "3 runs on this page" in html


def test_an_address_leads_to_the_same_runs(admin_client: Client) -> None:
    made(9)
    _first, links, _html = opened(admin_client, "?")
    before = opened(admin_client, links["next"])[0]
    made_later = [make_run().pk for _ in range(5)]
    assert opened(admin_client, links["next"])[0] == before
    assert not set(made_later) & set(before)


def test_another_filter_begins_at_its_first_page(admin_client: Client) -> None:
    made(9)
    _first, links, _html = opened(admin_client, "?")
    html = opened(admin_client, links["next"])[2]
    assert 'href="?status__exact=WAITING"' in html
    assert not re.search(r'name="(after|before)"', html)  # in the forms of search and filters
    assert 'href="?">First page' in html


@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize("place", ["nonsense", "-5.x", "0.", "1e3.x", "9" * 4300, "9" * 30 + ".x", "17.%00", "١٧"])
def test_a_place_that_is_none(admin_client: Client, name: str, place: str) -> None:
    made(1)
    response = admin_client.get(f"{RUNS}?{name}={place}")
    assert response.status_code == 200 or response.headers["Location"] == f"{RUNS}?e=1"
    assert read(admin_client.get(f"{RUNS}?e=1"))


@pytest.mark.parametrize("place", ["1.x", "199999999999999999.", "199999999999999999.\U0010ffff"])
@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize("order", ["", "&o=7"])
def test_a_place_beyond_all_runs(admin_client: Client, name: str, place: str, order: str) -> None:
    ids = set(made(2))
    found, links, _html = opened(admin_client, f"?{name}={place}{order}")
    assert set(found) in (ids, set())
    if not found:
        assert set(opened(admin_client, links["prev"])[0]) == ids


def test_a_look_ends_and_says_so(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "FARTHEST", 10)
    make_run(id="far-back", queue="mail", created_at=ago(days=2))
    middle = [make_run(created_at=ago(hours=5, seconds=number)).pk for number in range(25)]
    make_run(id="near", queue="mail", created_at=ago(seconds=5))
    found, links, html = opened(admin_client, "?queue=mail")
    assert found == ["near"]
    assert "Of 10 runs that were looked at" in read(admin_client.get(f"{RUNS}?queue=mail")).text
    assert "Look further" in html
    assert "1+ workflow runs" in html
    pages = walk(admin_client, "?queue=mail")
    assert [page for page in pages if page] == [["near"], ["far-back"]]
    assert 3 <= len(pages) <= 5
    assert walk(admin_client, "?queue=mail&o=7")[0] == ["far-back"]
    empty = opened(admin_client, links["next"])
    assert empty[0] == []
    assert "No workflow run matches" not in empty[2]
    assert "near" in [run_id for page in walk(admin_client, empty[1]["prev"], "prev") for run_id in page]
    assert len([run_id for page in walk(admin_client, "?") for run_id in page]) == len(middle) + 2  # every run is come by


def test_what_an_index_has_among_few_is_found_however_far_back(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "FARTHEST", 10)
    for number, (status, stranded) in enumerate([("RUNNING", ""), ("ENQUEUED", "name"), ("WAITING", ""), ("ERROR", "")]):
        make_run(id=f"old-{number}", status=status, stranded=stranded, created_at=ago(days=2), schedule_name=f"s-{number}")
    for number in range(30):
        make_run(status="SUCCESS", created_at=ago(hours=1, seconds=number))
    queries = {
        "status__exact=RUNNING": "old-0", "status__exact=ENQUEUED": "old-1", "stuck=name": "old-1", "stuck=worker": "old-0",
        "status__exact=WAITING": "old-2", "status__exact=ERROR": "old-3", "schedule_name__exact=s-3": "old-3", "q=old-2": "old-2",
    }  # fmt: skip
    for query, expected in queries.items():
        found, links, _html = opened(admin_client, f"?{query}")
        assert (found, links) == ([expected], {}), query
    assert len(opened(admin_client, "?status__exact=unfinished")[0]) == 3
    monkeypatch.setattr(looking, "FEW", 0)  # so many that they are walked past
    assert opened(admin_client, "?status__exact=RUNNING")[0] == []
    assert [page for page in walk(admin_client, "?status__exact=RUNNING") if page] == [["old-0"]]
