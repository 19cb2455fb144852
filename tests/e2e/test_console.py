"""The console, in a browser without a screen."""

import json
import os
import pathlib
import shutil
import sys

import pytest

from proxy_lab import POLICY, lab, wait_until  # noqa: F401

pytest.importorskip("selenium", reason="no python3-selenium")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import browser as chromium  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

needs_browser = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="no chromium"
)
# With owners: alice is of acme-admins, dave of globex-admins.
OWNED = (
    POLICY.replace("name: /globex }\nspec: {", "name: /globex }\nspec: { owners: [globex-admins],")
    + """---
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: { name: /acme }
spec: { owners: [acme-admins] }
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: daily, namespace: /acme/shop }
spec: { requests: { perDay: 100000 } }
"""
)
pytestmark = pytest.mark.parametrize("lab", [{"policy": OWNED}], indirect=True, ids=["owned"])
FILES = ["/ringfence/", "/ringfence/console.css", "/ringfence/console.js"]


# ---- on the wire ----


@pytest.mark.parametrize("path", FILES)
def test_files_are_served_to_everyone_and_locked_down(lab, path):
    with lab.gate.http2() as c:
        answer = c.request("GET", path)
        assert answer.status == 200
        policy = dict(
            p.strip().partition(" ")[::2]
            for p in answer.header("content-security-policy").split(";")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in answer.header("content-security-policy")
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("x-frame-options") == "DENY"
        assert answer.header("referrer-policy") == "no-referrer"
        assert answer.header("set-cookie") is None
        assert c.request("HEAD", path).body == b""
        assert c.request("POST", path).status == 405
    assert not lab.seen(path)


def test_nothing_else_is_served(lab):
    for path in ("/ringfence/console.html", "/ringfence/../ringfence/", "/ringfence//",
                 "/ringfence/console.js/", "/ringfence/%2e%2e/console.js"):  # fmt: skip
        with lab.gate.http2() as c:
            assert c.request("GET", path).status in (400, 404)


def test_page_has_nothing_in_line(lab):
    with lab.gate.http2() as c:
        page = c.request("GET", "/ringfence/").body.decode()
    assert "style=" not in page and "onclick" not in page and "<style" not in page
    assert page.count("<script") == 1
    assert 'lang="en"' in page and "<noscript>" in page
    script = c_body(lab, "/ringfence/console.js")
    for word in ("innerHTML", "eval(", "localStorage", "sessionStorage", "document.cookie"):
        assert word not in script


def c_body(lab, path):
    with lab.gate.http2() as c:
        return c.request("GET", path).body.decode()


# ---- who sees which records ----


def entries(lab, user, path="/ringfence/v1/audit"):
    with lab.gate.http2() as c:
        answer = c.request("GET", path, lab.gate.bearer(user))
    assert answer.status == 200, answer.body
    return answer.json()["entries"]


def ask(lab, user, path, method="GET"):
    with lab.gate.http2() as c:
        answer = c.request(method, path, lab.gate.bearer(user))
    return answer.status, answer.header("audit-id")


def test_records_are_shown_to_whom_they_concern(lab):
    shop, globex = "/api/v1/namespaces/shop-prod/pods", "/api/v1/namespaces/globex-prod/pods"
    made = {
        "alice in shop": ask(lab, "alice", shop)[1],
        "bob refused in shop": ask(lab, "bob", f"{shop}/web-0", "DELETE")[1],
        "alice refused in globex": ask(lab, "alice", globex)[1],
        "dave in globex": ask(lab, "dave", globex)[1],
    }
    sees = {
        "alice": {"alice in shop", "bob refused in shop", "alice refused in globex"},
        "bob": {"bob refused in shop"},
        "dave": {"alice refused in globex", "dave in globex"},
    }
    for user, expected in sees.items():
        wanted = {made[name] for name in expected}
        wait_until(lambda u=user, w=wanted: w <= {e["auditID"] for e in entries(lab, u)},
                   what=f"the records of {user}")  # fmt: skip
        shown = {e["auditID"] for e in entries(lab, user)}
        assert {name for name, i in made.items() if i in shown} == expected
        refused = entries(lab, user, "/ringfence/v1/audit/refused")
        assert all(e["status"] in (401, 403, 429) for e in refused)
        ids = {e["auditID"] for e in refused}
        assert {name for name, i in made.items() if i in ids} == {n for n in expected if "refused" in n}
    for e in entries(lab, "alice"):
        assert e["user"] == "alice" or (e["tenant"] + "/").startswith("/acme/")


def test_tenants_are_shown_to_their_owners(lab):
    def paths(user):
        with lab.gate.http2() as c:
            answer = c.request("GET", "/ringfence/v1/tenants", lab.gate.bearer(user))
        return [t["path"] for t in answer.json()["tenants"]]

    assert "/acme" in paths("alice") and "/acme/shop" in paths("alice")
    assert not [p for p in paths("alice") if not (p + "/").startswith("/acme/")]
    assert paths("bob") == []


def test_quotas_are_shown_with_their_use(lab):
    def quotas(user):
        with lab.gate.http2() as c:
            return c.request("GET", "/ringfence/v1/quotas", lab.gate.bearer(user)).json()["quotas"]

    (before,) = quotas("alice")
    assert (before["namespace"], before["name"]) == ("/acme/shop", "daily")
    assert before["requests"] == {"perDay": 100000}
    assert ask(lab, "alice", "/api/v1/namespaces/shop-prod/pods")[0] == 200
    (after,) = quotas("bob")  # who may read there
    assert after["today"] == before["today"] + 1 and after["refused"] == 0
    assert quotas("dave") == []


def test_limited_token_shows_no_records(lab):
    with lab.gate.http2() as c:
        scope = {"name": "narrow", "scopes": [{"verbs": ["get"], "resources": ["pods"]}]}
        made = c.request("POST", "/ringfence/v1/tokens", lab.gate.bearer(), json.dumps(scope).encode())
        assert made.status == 201
        for name in ("audit", "audit/refused", "tenants", "quotas"):
            path = f"/ringfence/v1/{name}"
            assert c.request("GET", path, lab.gate.bearer(token=made.json()["token"])).status == 403
            assert c.request("GET", path).status == 401
            assert c.request("POST", path, lab.gate.bearer()).status == 405


# ---- in a browser ----


def start(tmp_path_factory, **kwargs):
    driver = chromium.start(
        tmp_path_factory.mktemp("profile"), "--ignore-certificate-errors", **kwargs
    )
    driver.set_page_load_timeout(30)
    driver.downloads = str(tmp_path_factory.mktemp("downloads"))
    driver.execute_cdp_cmd(
        "Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": driver.downloads}
    )
    return driver


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = start(tmp_path_factory)
    yield driver
    driver.quit()


@pytest.fixture
def page(lab, browser):
    browser.get(f"https://127.0.0.1:{lab.gate.port}/ringfence/")
    return browser


def text(page, element):
    return page.find_element(By.ID, element).text


def shown(page, element):
    return page.find_element(By.ID, element).is_displayed()


def sign_in(page, user="alice", password=None):
    page.find_element(By.ID, "name").send_keys(user)
    page.find_element(By.ID, "password").send_keys(
        password or f"{user}-secret", Keys.ENTER
    )
    wait_until(lambda: text(page, "message") or text(page, "problem"), what="an answer")


def rows(page):
    return [
        [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th,td")]
        for row in page.find_elements(By.CSS_SELECTOR, "#tokens tr")
    ]


@needs_browser
def test_sign_in_shows_who_one_is(page):
    assert shown(page, "sign-in") and not shown(page, "home")
    assert page.switch_to.active_element.get_attribute("id") == "name"
    sign_in(page)
    assert text(page, "message") == "You are signed in."
    assert text(page, "user") == "alice"
    assert "acme-admins" in text(page, "groups")
    assert "/acme" in text(page, "namespaces")
    assert [r[0] for r in rows(page)][0].startswith("console")
    assert page.find_element(By.ID, "password").get_attribute("value") == ""
    page.find_element(By.ID, "sign-out").click()
    wait_until(lambda: shown(page, "sign-in"))
    assert text(page, "message") == "You are signed out."


@needs_browser
def test_wrong_password_says_so(page):
    sign_in(page, password="wrong")
    assert text(page, "problem") and not text(page, "message")
    assert shown(page, "sign-in")


@needs_browser
def test_token_is_made_used_and_revoked(lab, page):
    sign_in(page)
    page.find_element(By.ID, "token-name").send_keys("<img src=x onerror=alert(1)>")
    page.find_element(By.ID, "token-verbs").send_keys("get, list")
    page.find_element(By.ID, "token-resources").send_keys("pods", Keys.ENTER)
    wait_until(lambda: text(page, "token-text"), what="the token")
    token = text(page, "token-text")
    target = "/api/v1/namespaces/shop-prod/pods"
    with lab.gate.http2() as c:
        assert c.request("GET", target, lab.gate.bearer(token=token)).status == 200
        denied = c.request("DELETE", f"{target}/web-0", lab.gate.bearer(token=token))
        assert denied.status == 403
    (row,) = [r for r in rows(page) if "onerror" in r[0]]
    assert row[0] == "<img src=x onerror=alert(1)>"  # text, no element
    assert row[5] == "verbs: get, list; resources: pods"
    button = page.find_element(By.CSS_SELECTOR, '#tokens button[aria-label*="onerror"]')
    button.click()
    wait_until(lambda: "revoked" in text(page, "message"), what="the revocation")
    with lab.gate.http2() as c:
        assert c.request("GET", target, lab.gate.bearer(token=token)).status == 401


@needs_browser
def test_records_and_tenants_are_on_the_page(lab, page):
    name = "<img src=x onerror=alert(1)>".replace(" ", "%20")
    status, audit_id = ask(lab, "bob", f"/api/v1/namespaces/shop-prod/pods/{name}", "DELETE")
    assert status in (400, 403)
    sign_in(page)

    def refused():
        page.find_element(By.ID, "refresh").click()
        wait_until(lambda: "up to date" in text(page, "message"), what="the records")
        cells = page.find_elements(By.CSS_SELECTOR, f'#refused td[title="Audit id {audit_id}"]')
        return [c.find_element(By.XPATH, "..").text for c in cells]

    if status == 403:
        wait_until(lambda: len(refused()) == 1, what="the refusal")
        assert "bob" in refused()[0] and "403" in refused()[0] and "onerror" in refused()[0]
    assert page.execute_script("return document.querySelectorAll('img').length") == 0
    assert shown(page, "tenants-section") and "/acme/shop" in text(page, "tenants")
    assert "alice" in text(page, "activity")
    assert "/acme/shop: daily" in text(page, "quotas") and "100000 a day" in text(page, "quotas")
    page.find_element(By.ID, "sign-out").click()
    wait_until(lambda: shown(page, "sign-in"))
    assert text(page, "refused") == text(page, "activity") == text(page, "tenants") == ""


@needs_browser
def test_kubeconfig_is_downloaded(lab, page):
    sign_in(page)
    page.find_element(By.ID, "kubeconfig").click()
    path = os.path.join(page.downloads, "ringfence.kubeconfig")
    wait_until(lambda: os.path.exists(path), what="the file")
    with open(path) as f:
        config = json.load(f)
    assert config["clusters"][0]["cluster"]["server"] == f"https://127.0.0.1:{lab.gate.port}"
    plugin = config["users"][0]["user"]["exec"]
    assert [plugin["command"], *plugin["args"][:1]] == ["ringfence", "login"]
    assert "rf_" not in json.dumps(config)


@needs_browser
def test_reload_forgets_the_session(lab, page):
    sign_in(page)
    kept = page.execute_script(
        "return [document.cookie, localStorage.length, sessionStorage.length]"
    )
    assert kept == ["", 0, 0]
    (own,) = [r[1] for r in rows(page) if "this page" in r[0]]
    page.refresh()
    wait_until(lambda: shown(page, "sign-in"))
    assert text(page, "tokens") == ""

    def revoked():
        with lab.gate.http2() as c:
            tokens = c.request("GET", "/ringfence/v1/tokens", lab.gate.bearer()).json()["tokens"]
        return not [t for t in tokens if t["id"] == own and not t["revoked"]]

    wait_until(revoked, what="the end of the session's token")


@needs_browser
def test_revoked_session_is_left(lab, page):
    sign_in(page)
    ids = [r[1] for r in rows(page) if "this page" in r[0]]
    with lab.gate.http2() as c:
        c.request("DELETE", f"/ringfence/v1/tokens/{ids[0]}", lab.gate.bearer())
    page.find_element(By.ID, "token-name").send_keys("late", Keys.ENTER)
    wait_until(lambda: shown(page, "sign-in"))
    assert "session has ended" in text(page, "problem")


@needs_browser
def test_every_control_has_a_name_and_the_keyboard_reaches_it(page):
    sign_in(page)
    nameless = page.execute_script("""
        return [...document.querySelectorAll('input, button, a, output')].filter((e) => {
            const labels = e.labels ? e.labels.length : 0;
            return !labels && !e.getAttribute('aria-label') && !e.textContent.trim() &&
                e.tagName !== 'OUTPUT';
        }).map((e) => e.outerHTML);
    """)
    assert nameless == []
    seen = set()
    for _ in range(20):
        page.switch_to.active_element.send_keys(Keys.TAB)
        seen.add(page.switch_to.active_element.get_attribute("id"))
    assert {"sign-out", "kubeconfig", "token-name", "token-days"} <= seen


def accessible(page):
    """What a screen reader is told: (role, name, focusable) of each node that it shows."""
    page.execute_cdp_cmd("Accessibility.enable", {})
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    for node in nodes:
        if not node.get("ignored"):
            properties = {p["name"]: p["value"].get("value") for p in node.get("properties", [])}
            yield (
                node["role"]["value"],
                node.get("name", {}).get("value", ""),
                properties.get("focusable", False),
            )


@needs_browser
def test_screen_reader_is_told_what_everything_is(page):
    sign_in(page, password="wrong")
    assert "alert" in {role for role, _, _ in accessible(page)}
    assert page.find_element(By.CSS_SELECTOR, "[role=alert]").text
    page.find_element(By.ID, "name").clear()
    sign_in(page)
    wait_until(lambda: shown(page, "home"))
    told = list(accessible(page))
    landmarks = ("RootWebArea", "main", "status", "alert", "output")
    nameless = [t for t in told if t[2] and not t[1].strip() and t[0] not in landmarks]
    assert nameless == []
    roles = {role for role, _, _ in told}
    wanted = {"main", "status", "heading", "form", "table", "columnheader", "rowheader"}
    assert wanted - roles == set()
    assert all(name for role, name, _ in told if role in ("table", "form", "region", "group"))


@needs_browser
def test_keyboard_alone_makes_and_revokes_a_token(page):
    sign_in(page)
    page.find_element(By.ID, "token-name").send_keys("by keyboard", Keys.ENTER)
    wait_until(lambda: text(page, "token-text"), what="the token")
    assert page.switch_to.active_element.get_attribute("id") == "token-text"
    button = None
    for _ in range(60):  # back from the token to the table above it
        page.switch_to.active_element.send_keys(Keys.SHIFT, Keys.TAB)
        button = page.switch_to.active_element
        if "by keyboard" in (button.get_attribute("aria-label") or ""):
            break
    assert button.tag_name == "button"
    button.send_keys(Keys.ENTER)
    wait_until(lambda: "revoked" in text(page, "message"), what="the revocation")
    # The button is gone; who uses a keyboard is not sent back to the page's beginning.
    assert page.switch_to.active_element.get_attribute("id") == "tokens-title"


@needs_browser
def test_browser_finds_nothing_against_the_policy(page):
    sign_in(page)
    # A script in line would be refused; the page itself asks for none.
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
        "document.body.append(s)"
    )
    assert page.execute_script("return window.bad") is None
    texts = [e["message"] for e in page.get_log("browser")]
    refused = [t for t in texts if "Content Security Policy" in t]
    assert len(refused) == 1, texts


@needs_browser
def test_without_script_it_says_what_to_do(lab, tmp_path_factory):
    no_script = {"profile.managed_default_content_settings.javascript": 2}
    driver = start(tmp_path_factory, preferences=no_script)
    try:
        driver.get(f"https://127.0.0.1:{lab.gate.port}/ringfence/")
        body = driver.find_element(By.TAG_NAME, "body").text
        assert "ringfence login" in body and "Sign in" not in body
        assert "cookie" in body  # and why
        assert driver.get_cookies() == []
    finally:
        driver.quit()
