"""mixup and CutMix against their definitions, and a training on mixed images."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kdlab.data.image.digits import Digits
from kdlab.data.image.mixing import Mixing
from kdlab.data.seeds import Stream, generator
from kdlab.errors import BadInput
from kdlab.jobs.training.parts import make_data
from tests.methods.first_step import ready
from tests.small import tiny_plan

LABELS = torch.arange(40)
IMAGES = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 16, 12).contiguous() * 6


def applied(seed=0, **settings):
    return Mixing(**settings).apply(IMAGES, LABELS, np.random.default_rng(seed))


def test_mixup_blends_each_image_with_one_other_by_one_share():
    mixed = applied(mixup=0.4)
    expected = mixed.share * 6 * LABELS + (1 - mixed.share) * 6 * mixed.labels
    assert (mixed.images[:, 0, 0, 0] - expected).abs().max() <= 0.5
    assert sorted(mixed.labels.tolist()) == LABELS.tolist() and mixed.images.dtype == torch.uint8
    assert (mixed.images == mixed.images[:, :1, :1, :1]).all()


@pytest.mark.parametrize("parameter", [0.2, 1.0, 5.0])
def test_shares_have_the_moments_of_their_beta_distribution(parameter):
    shares = np.array([applied(seed, mixup=parameter).share for seed in range(2000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * (2 * parameter + 1)), rel=0.1)


def test_cutmix_replaces_one_rectangle_and_its_share_is_the_area_that_stayed():
    seen = set()
    for seed in range(200):
        mixed = applied(seed, cutmix=1.0)
        image, own, other = mixed.images[7, 0], 42, 6 * int(mixed.labels[7])
        cut = image == other
        assert ((image == own) | cut).all()
        if own != other and cut.any():
            rows, columns = cut.any(1).nonzero(), cut.any(0).nonzero()
            assert cut[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
            assert mixed.share == pytest.approx(1 - cut.double().mean().item())
            seen.add((int(rows.min()), int(columns.min())))
    assert len(seen) > 50
    assert torch.equal(IMAGES[:, 0, 0, 0], (6 * LABELS).to(torch.uint8)), "the given images are not written to"


def test_the_area_of_a_cut_is_drawn_as_the_share_of_a_blend():
    """Of a square of side r, r² uniform, the border clips r² / 4 off each side in the mean: 1 - E[(r - r² / 4)²]."""
    images = torch.zeros(2, 1, 128, 128, dtype=torch.uint8)
    draws = np.random.default_rng(0)
    shares = [Mixing(cutmix=1.0).apply(images, LABELS[:2], draws).share for _ in range(3000)]
    assert np.mean(shares) == pytest.approx(1 - (1 / 2 - 1 / 5 + 1 / 48), abs=0.015)


def test_with_both_a_batch_is_blended_or_cut_at_even_odds():
    blended = [len(applied(seed, mixup=1.0, cutmix=1.0).images[3].unique()) == 1 for seed in range(400)]
    assert np.mean(blended) == pytest.approx(0.5, abs=0.15)  # some cuts are empty or whole


def started(*overrides):
    """A student's method at the start of its training, and its first batch."""
    stage = tiny_plan("data.labelled_fraction=1.0", *overrides).student
    method, batch = ready(stage)
    method.trainer.datamodule, method.trainer.global_rank = make_data(stage.data), 0
    method.setup("fit")
    return method, batch


def test_a_step_minimises_both_labels_by_their_shares_and_the_teachers_outputs_for_the_mixed_image():
    method, batch = started("data.mixup=3", "loss.alpha=0.6", "loss.temperature=3")
    draws = generator(Stream.MIXING, method.seed, 0, 0, 0)
    images, labels, share = method.mixing.apply(batch.inputs, batch.targets, draws)
    assert 0.01 < share < 0.99 and not torch.equal(labels, batch.targets)
    (teacher,) = method.teachers
    with torch.no_grad():
        found = method.training_step(batch, 0).item()
        student, target = method.student(images), teacher(images).logits
    logs = [F.log_softmax(logits / 3, 1) for logits in (student, target)]
    soft = 9 * F.kl_div(*logs, reduction="batchmean", log_target=True)
    hard = share * F.cross_entropy(student, batch.targets) + (1 - share) * F.cross_entropy(student, labels)
    assert found == pytest.approx((0.6 * soft + 0.4 * hard).item(), rel=1e-5)


def test_nothing_is_cached_for_mixed_images():
    data = Digits(mixup=0.2)
    assert data.cache_key() is None and Digits().cache_key() is not None
    assert data.pixels() == Digits().pixels()


def test_a_loss_that_looks_up_single_images_is_refused():
    with pytest.raises(BadInput, match=r"^loss\.terms\.\w+ looks up single images, and data\.mixup and data\.cutmix"):
        started("loss=crd", "data.cutmix=1")


@pytest.mark.parametrize("settings", [{"mixup": -1}, {"cutmix": "a"}, {"randaugment": 31}, {"randaugment": 1.5}])
def test_values_out_of_range_are_refused(settings):
    (name,) = settings
    with pytest.raises(BadInput, match=rf"^data\.{name} must be a (whole )?number"):
        Digits(**settings)
