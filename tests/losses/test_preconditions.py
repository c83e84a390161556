import pytest
import torch

from kdlab.losses.preconditions import check_logits, check_samples


def test_logits_have_one_shape_and_a_positive_temperature():
    check_logits("name", torch.ones(2, 3), torch.ones(2, 3), 0.5)
    with pytest.raises(ValueError, match=r"name compares logits of one shape, got student \(2, 3\) and .* \(2, 4\)"):
        check_logits("name", torch.ones(2, 3), torch.ones(2, 4))
    for temperature in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"name needs a temperature above 0, got {temperature}"):
            check_logits("name", torch.ones(2, 3), torch.ones(2, 3), temperature)


def test_features_have_equally_many_samples():
    check_samples("name", torch.ones(2, 3), torch.ones(2, 4, 5, 5))
    with pytest.raises(ValueError, match=r"features of the same samples, got student \(2, 3\) and teacher \(4, 3\)"):
        check_samples("name", torch.ones(2, 3), torch.ones(4, 3))
    with pytest.raises(ValueError, match=r"name compares \(batch, ...\) features .* got student \(2,\) and"):
        check_samples("name", torch.ones(2), torch.ones(2, 3))
