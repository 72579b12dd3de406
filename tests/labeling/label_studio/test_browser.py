"""A person labels in a browser: the queue comes in order of priority. Needs a server and Chromium.

Screenshots are written into the folder that NTK_AL_SCREENSHOTS names.
"""

from __future__ import annotations

import contextlib
import os
import shutil

import pytest

from ntk_al.labeling import label_studio
from tests.labeling.label_studio import server

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FOLDER = os.environ.get("NTK_AL_SCREENSHOTS")
_PATIENCE = 60

pytestmark = pytest.mark.skipif(not server.PROGRAM, reason="needs a server")


@pytest.fixture
def browser(url):
    webdriver = pytest.importorskip("selenium.webdriver")
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1400,900"):
        options.add_argument(f"--{argument}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    with contextlib.closing(Browser(driver, url)) as browser:
        browser.sign_in()
        yield browser


class Browser:
    """What a labeler does."""

    def __init__(self, driver, url):
        self._driver, self._url = driver, url

    def close(self):
        self._driver.quit()

    def sign_in(self):
        self._driver.get(f"{self._url}/user/login/")
        for name, text in (("email", server.USER), ("password", server.PASSWORD)):
            self._find(f"//input[@name='{name}']").send_keys(text)
        self._find("//button[@type='submit']").click()
        self._wait(lambda driver: "login" not in driver.current_url)

    def open_queue(self, project):
        self._driver.get(f"{self._url}/projects/{project}/data")
        self._find("//button[@aria-label='Toggle open']").click()
        self.picture("queue")
        self._find("//*[text()='Label Tasks As Displayed']").click()

    def task(self, after=None):
        """The number of the task that is shown, once it is another one than before."""
        shown = "//*[@class='lsf-current-task__task-id']"

        def another(driver):
            number = int(self._find(shown).text.lstrip("#").split()[0])
            return number if number != after else None

        return self._wait(another)

    def choose(self, name):
        self._find(
            f"//*[contains(@class, 'lsf-choice__item')][contains(., '{name}')]//label"
        ).click()
        self.picture("labeling")
        self._find("//button[@aria-label='Submit current annotation']").click()

    def picture(self, name):
        if FOLDER:
            self._driver.save_screenshot(os.path.join(FOLDER, f"label-studio-{name}.png"))

    def _find(self, xpath):
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support import expected_conditions

        return self._wait(expected_conditions.element_to_be_clickable((By.XPATH, xpath)))

    def _wait(self, condition):
        from selenium.common import exceptions
        from selenium.webdriver.support.ui import WebDriverWait

        ignored = (exceptions.StaleElementReferenceException,)
        return WebDriverWait(self._driver, _PATIENCE, ignored_exceptions=ignored).until(condition)


def test_three_images_that_are_labeled_in_a_browser_come_in_the_order_of_the_proposal(
    campaign, client, project, browser
):
    ids = campaign.next(11)
    label_studio.push(campaign, ids[::-1], client, project)  # so that numbers are another order
    label_studio.push(campaign, ids, client, project)
    example = {t.id: t.data["ntk_id"] for t in client.tasks.list(project=project, fields="all")}
    browser.open_queue(project)
    seen, last = [], None
    for name in ("cat", "dog", "cat"):
        last = browser.task(after=last)
        seen.append(example[last])
        browser.choose(name)
    browser.task(after=last)  # the third one has been submitted
    assert seen == ids[:3]
    label_studio.pull(campaign, client, project)
    dog = 'a "big" <dog>'
    assert campaign.labels == dict(zip(ids, ["cat", dog, "cat"], strict=False))
