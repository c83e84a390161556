"""The settings of a server: what is refused, and where the token comes from."""

import pytest
import yaml

from kdlab.config.folders import CONF, ROOT
from kdlab.errors import BadInput
from kdlab.serving.settings import TOKEN, ServeSettings, serve_settings


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    monkeypatch.delenv(TOKEN, raising=False)


def test_the_file_has_every_setting_with_its_default():
    written = yaml.safe_load((CONF / "serve.yaml").read_text())["serve"]
    assert ServeSettings(**written) == ServeSettings(cascade={"target": None, "threshold": None})


def test_the_page_names_every_setting():
    written = yaml.safe_load((CONF / "serve.yaml").read_text())["serve"]
    keys = {name for name in written if name != "cascade"} | {f"cascade.{name}" for name in written["cascade"]}
    _, _, table = (ROOT / "docs" / "serve.md").read_text().partition("## Keys of `serve`")
    assert {name for name in keys if f"`{name}`" not in table.partition("\n## ")[0]} == set()


def test_overrides_are_taken():
    settings = serve_settings(
        ["serve.port=8123", "serve.teacher=runs/a", "serve.cascade.target=0.9", "serve.shadow=0.5"]
    )
    assert (settings.port, settings.teacher, settings.deferral.target, settings.shadow) == (8123, "runs/a", 0.9, 0.5)


TEACHER = ["serve.teacher=runs/a"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["serve.prot=1"], r"serve\.prot is not a setting, got '1' for it\. Did you mean serve\.port\?"),
        (["export.opset=20"], r"export\.opset=20: only settings of the server can be given"),
        (["serve.port"], r"serve\.port: only settings of the server can be given, as serve\.port=8001"),
        (
            ["serve.cascade=0.9"],
            r"serve\.cascade is not a single value\. Set what is below it: serve\.cascade\.target=…",
        ),
        (["serve.port.x=1"], r"serve\.port has no settings below it"),
        (["serve.cascade.tarket=1"], r"Did you mean serve\.cascade\.target\?"),
        (["serve.port=70000"], r"serve\.port must be a whole number from 0 to 65535; got 70000"),
        (["serve.max_batch=0"], r"serve\.max_batch must be a whole number, 1 or more; got 0"),
        (["serve.max_batch=2.5"], r"serve\.max_batch must be a whole number, 1 or more; got 2\.5"),
        (["serve.queue=8"], r"serve\.queue must be at least serve\.max_batch, 16; got 8"),
        (["serve.max_pending_mb=7"], r"serve\.max_pending_mb must be at least serve\.max_body_mb, 8; got 7"),
        (["serve.timeout_s=0"], r"serve\.timeout_s must be a number above 0; got 0"),
        (["serve.shadow=1.5", *TEACHER], r"serve\.shadow must be a number from 0 to 1; got 1\.5"),
        (["serve.crop_fraction=0"], r"serve\.crop_fraction must be in \(0, 1\], or null; got 0"),
        (["serve.cascade.target=2", *TEACHER], r"serve\.cascade\.target must be a number from 0 to 1, got 2"),
        (["serve.cascade.target=1", "serve.cascade.threshold=1", *TEACHER], r"Leave one out"),
        (["serve.cascade.target=0.9"], r"serve\.cascade\.target needs a teacher"),
        (["serve.shadow=0.1"], r"serve\.shadow needs a teacher"),
        (TEACHER, r"serve\.teacher=runs/a is used by nothing\. Add serve\.cascade\.target=0\.99"),
        (["serve.host=0.0.0.0"], r"can be reached from other machines, and no token is set"),
        (["serve.host=example.org"], r"can be reached from other machines, and no token is set"),
        (["'serve.token=a b'".strip("'")], r"serve\.token must be ASCII characters without spaces"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_rule_and_what_was_received(lines, message):
    with pytest.raises(BadInput, match=message):
        serve_settings(lines)


def test_a_token_opens_the_host_and_comes_from_the_environment_unless_it_is_given(monkeypatch):
    monkeypatch.setenv(TOKEN, "secret")
    assert serve_settings(["serve.host=0.0.0.0"]).token == "secret"
    assert serve_settings(["serve.token=1234"]).token == "1234"
    monkeypatch.setenv(TOKEN, "")
    assert serve_settings([]).token is None
