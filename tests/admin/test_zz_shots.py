import os
from tests.admin.test_browser import *  # noqa
from tests.admin.test_browser import visit  # noqa
from tests.admin import scenes
import pytest

pytestmark = [pytest.mark.django_db(transaction=True)]
for k in list(globals()):
    if k.startswith("test_"):
        del globals()[k]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_shots(visit, scheme):
    runs = {n: f() for n, f in scenes.SCENES.items()}
    only = os.environ.get("ONLY", "").split(",") if os.environ.get("ONLY") else list(runs)
    for width in (1400, 390):

        def look(page, url):
            res = {}
            for name in only:
                page.goto(url + page_of(runs[name].pk) + ("?open=batch-7-3&open=batch-7-3-9" if name == "waiting" else ""))
                res[name] = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
                page.screenshot(path=f"/tmp/shots/{name}-{scheme}-{width}.png", full_page=False)
                page.locator("#timeline").screenshot(path=f"/tmp/shots/{name}-{scheme}-{width}-t.png")
                if name != "long":
                    page.screenshot(path=f"/tmp/shots/{name}-{scheme}-{width}-full.png", full_page=True)
            return res

        print(visit(look, color_scheme=scheme, viewport={"width": width, "height": 900}))
