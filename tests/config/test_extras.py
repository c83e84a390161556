import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from kdlab.config.compose import checked_overrides
from kdlab.errors import BadInput


@pytest.mark.parametrize(
    ("option", "plugin", "extra"), [("ray_cluster", "ray", "ray"), ("slurm", "submitit_slurm", "slurm")]
)
def test_an_option_whose_extra_is_absent_names_it(option, plugin, extra, monkeypatch):
    Plugins.instance()  # which finds those that are installed
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"]["launcher"], f"{plugin}.yaml", raising=False)
    for chosen in (option, plugin):
        with pytest.raises(BadInput, match=rf"^hydra/launcher={chosen} needs .* pip install \"kdlab\[{extra}\]\"$"):
            checked_overrides([f"hydra/launcher={chosen}", "seed=0,1"], multirun=True)


def test_with_the_extra_the_option_is_there():
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="the extra ray is not installed")
    launcher = checked_overrides(["hydra/launcher=ray_cluster", "seed=0,1"], multirun=True).config.hydra.launcher
    assert launcher._target_.endswith(".RayLauncher")
    assert launcher.ray.init.address == "auto"
