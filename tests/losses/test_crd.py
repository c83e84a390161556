import copy

import pytest
import scipy.stats
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kdlab.errors import BadInput
from kdlab.losses import ContrastiveRepresentation
from kdlab.losses.crd import draw_distinct

torch.manual_seed(0)
STUDENT, TEACHER = torch.randn(4, 3), torch.randn(4, 5)
LABELS = torch.tensor([0, 1, 2, 0, -100, 1, 2, 0, -100, 1, 2, 2])
INDEX = torch.tensor([3, 0, 8, 10])
TEMPERATURE, MOMENTUM = 0.2, 0.3


def make_loss(labels=LABELS, **arguments):
    torch.manual_seed(1)
    settings = {"dimension": 6, "negatives": 5, "temperature": TEMPERATURE, "momentum": MOMENTUM, **arguments}
    return ContrastiveRepresentation(torch.Size([3]), torch.Size([5]), labels, **settings)


def embedded(layer, features):
    vectors = [layer.weight.double() @ feature.double() + layer.bias.double() for feature in features]
    return [vector / vector.square().sum().sqrt() for vector in vectors]


def similarities(embeddings, bank, index, drawn):
    """Of each embedding to its own image's entry and to the drawn ones, one by one."""
    entries = [[bank[own], *(bank[other] for other in others)] for own, others in zip(index, drawn, strict=True)]
    return [
        [(embedding @ entry.double() / TEMPERATURE).exp() for entry in row]
        for embedding, row in zip(embeddings, entries, strict=True)
    ]


def normaliser(rows, images):
    return sum(value.detach() for row in rows for value in row) / sum(map(len, rows)) * images


def noise_contrastive(rows, images, constant):
    """Minus the log-probability that the first of each row is the data and the others are noise, equation 18."""
    total = 0
    for row in rows:
        noise = (len(row) - 1) / images
        probabilities = [value / constant for value in row]
        total -= (probabilities[0] / (probabilities[0] + noise)).log()
        total -= sum((noise / (probability + noise)).log() for probability in probabilities[1:])
    return total / len(rows)


def reference(loss, student, drawn, constants=None, index=INDEX):
    """The value, and the constants, which the first batch determines."""
    own, other = embedded(loss.embed_student, student), embedded(loss.embed_teacher, TEACHER[: len(student)])
    images = len(loss.teacher_bank)
    sides = [similarities(own, loss.teacher_bank, index, drawn), similarities(other, loss.student_bank, index, drawn)]
    constants = constants or [normaliser(rows, images) for rows in sides]
    value = sum(noise_contrastive(rows, images, constant) for rows, constant in zip(sides, constants, strict=True))
    return value, constants


@pytest.mark.parametrize("negatives", [2, 5])  # entries are gathered; one product with the bank
def test_matches_the_definition_in_the_first_batch_and_with_the_same_constants_in_the_second(negatives):
    loss = make_loss(negatives=negatives)
    first, constants = reference(copy.deepcopy(loss), STUDENT, loss.draw_negatives(INDEX, 7))
    assert loss(STUDENT, TEACHER, INDEX, 7).item() == pytest.approx(first.item(), rel=1e-5)
    torch.testing.assert_close(loss.log_normalisers.exp(), torch.stack(constants).float())
    second, _ = reference(copy.deepcopy(loss), -STUDENT, loss.draw_negatives(INDEX, 8), constants)
    assert loss(-STUDENT, TEACHER, INDEX, 8).item() == pytest.approx(second.item(), rel=1e-5)
    torch.testing.assert_close(loss.log_normalisers.exp(), torch.stack(constants).float())


@pytest.mark.parametrize("negatives", [2, 5])
def test_sends_the_known_gradient_to_student_and_embeddings_and_none_to_the_teacher(negatives):
    loss = make_loss(negatives=negatives)
    slow = copy.deepcopy(loss)
    student, own, teacher = (given.clone().requires_grad_() for given in (STUDENT, STUDENT, TEACHER))
    reference(slow, student, loss.draw_negatives(INDEX, 7))[0].backward()
    loss(own, teacher, INDEX, 7).backward()
    torch.testing.assert_close(own.grad, student.grad, rtol=1e-4, atol=1e-5)
    for parameter, expected in zip(loss.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad, rtol=1e-4, atol=1e-5)
        assert expected.grad.abs().sum() > 0
    assert teacher.grad is None


@pytest.mark.parametrize(("side", "features"), [("student", STUDENT), ("teacher", TEACHER)])
def test_updates_the_banks_for_the_batch_only(side, features):
    loss = make_loss()
    before = getattr(loss, f"{side}_bank").clone()
    expected = before.clone()
    for position, embedding in zip(INDEX, embedded(getattr(loss, f"embed_{side}"), features), strict=True):
        entry = MOMENTUM * before[position] + (1 - MOMENTUM) * embedding.detach().float()
        expected[position] = entry / entry.norm()
    loss(STUDENT, TEACHER, INDEX, 7)
    torch.testing.assert_close(getattr(loss, f"{side}_bank"), expected)
    assert not getattr(loss, f"{side}_bank").requires_grad


def test_draws_distinct_images_of_other_classes_or_without_a_label():
    loss = make_loss()
    for seed in range(20):
        for own, drawn in zip(INDEX, loss.draw_negatives(INDEX, seed), strict=True):
            assert own not in drawn and len(set(drawn.tolist())) == 5
            assert LABELS[own] == -100 or LABELS[own] not in LABELS[drawn]


def test_draws_each_possible_negative_equally_often():
    loss, draws = make_loss(), 4000
    drawn = torch.cat([loss.draw_negatives(INDEX.repeat(100), seed).view(100, 4, 5) for seed in range(draws // 100)])
    for image in range(4):
        counts = drawn[:, image].flatten().bincount(minlength=12)
        label = LABELS[INDEX[image]]
        possible = label != LABELS if label >= 0 else torch.arange(12) != INDEX[image]
        expected = draws * 5 / possible.sum()
        assert (counts[~possible] == 0).all()
        assert ((counts[possible] - expected).abs() < 5 * expected.sqrt()).all()


def test_negatives_depend_only_on_the_seed():
    loss = make_loss()
    first = loss.draw_negatives(INDEX, 7)
    torch.rand(3)
    assert first.equal(loss.draw_negatives(INDEX, 7))
    assert not first.equal(loss.draw_negatives(INDEX, 8))


def test_draws_each_possible_negative_of_a_long_list_equally_often():
    labels = torch.randint(-1, 4, (500,), generator=torch.Generator().manual_seed(0))
    labels[labels < 0] = -100
    loss, index = make_loss(labels), torch.arange(6)
    drawn = torch.cat([loss.draw_negatives(index.repeat_interleave(500), seed).view(6, -1) for seed in range(4)], dim=1)
    for own, others in zip(index, drawn, strict=True):
        counts = others.bincount(minlength=500)
        possible = (labels != labels[own]) | ((labels == -100) & (torch.arange(500) != own))
        assert (counts[~possible] == 0).all()
        assert scipy.stats.chisquare(counts[possible]).pvalue > 1e-3


@pytest.mark.parametrize(
    "limits", [(4, 7), (70, 75), (90, 120)]
)  # all enumerated; one enumerated, one sampled; all sampled
def test_every_set_of_distinct_numbers_is_equally_probable(limits):
    rows, count = 40_000, 2  # with 72 candidates
    given = torch.tensor(limits).repeat(rows)[:, None]
    drawn = draw_distinct(given, count, max(limits), torch.Generator().manual_seed(0)).view(rows, len(limits), count)
    for limit, pairs in zip(limits, drawn.sort().values.unbind(1), strict=True):
        assert (pairs[:, 0] < pairs[:, 1]).all() and pairs.min() >= 0 and pairs.max() < limit
        counts = torch.zeros(limit, limit).index_put_(tuple(pairs.T), torch.ones(rows), accumulate=True)
        possible = torch.ones(limit, limit, dtype=torch.bool).triu(1)
        assert scipy.stats.chisquare(counts[possible].double()).pvalue > 1e-3


class Largest(TorchDispatchMode):
    """Records the size of the largest tensor that an operation allocates, views of its inputs excepted."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given = {tensor.untyped_storage().data_ptr() for tensor in tensors((args, kwargs))}
        for tensor in tensors(result):
            if tensor.untyped_storage().data_ptr() not in given:
                self.numbers = max(self.numbers, tensor.numel())
        return result


def tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def test_a_step_allocates_no_tensor_of_size_batch_times_list():
    images, batch, negatives, dimension = 1_280_000, 64, 256, 2
    loss = make_loss(torch.arange(images) % 1000, negatives=negatives, dimension=dimension)
    index, features = torch.arange(batch) * 20_000, torch.randn(batch, 3)
    with Largest() as drawing:
        assert len(loss.draw_negatives(index, 0).unique()) > negatives
    assert drawing.numbers <= 5 * batch * negatives
    with Largest() as step:
        loss(features, torch.randn(batch, 5), index, 0).backward()
    assert step.numbers <= 5 * batch * negatives


@pytest.mark.parametrize(
    ("labels", "available"),
    [
        (LABELS, 8),
        (torch.tensor([0, 0, 0, 1, 1]), 2),
        (torch.full((6,), -100), 5),
        (torch.tensor([4, -100]), 1),
        (torch.arange(7), 6),
    ],
)
def test_has_at_most_as_many_negatives_as_the_largest_class_leaves(labels, available):
    loss = make_loss(labels, negatives=16384)
    assert loss.negatives == available
    index = torch.arange(len(labels))
    for own, drawn in zip(index, loss.draw_negatives(index, 0), strict=True):
        assert own not in drawn and len(set(drawn.tolist())) == available


def test_continues_from_its_saved_state_bit_for_bit():
    def steps(loss, seeds):
        return [loss(STUDENT, TEACHER, INDEX, seed).item() for seed in seeds]

    loss = make_loss()
    whole = steps(copy.deepcopy(loss), range(4))
    first = steps(loss, range(2))
    other = ContrastiveRepresentation(
        torch.Size([3]), torch.Size([5]), LABELS, dimension=6, negatives=5, temperature=TEMPERATURE, momentum=MOMENTUM
    )
    other.load_state_dict(loss.state_dict())
    assert first + steps(other, range(2, 4)) == whole


def test_takes_one_sample():
    loss = make_loss()
    expected, _ = reference(loss, STUDENT[:1], loss.draw_negatives(INDEX[:1], 7), index=INDEX[:1])
    assert loss(STUDENT[:1], TEACHER[:1], INDEX[:1], 7).item() == pytest.approx(expected.item(), rel=1e-5)


def test_is_finite_for_zeros_and_at_a_low_temperature():
    loss = make_loss(temperature=1e-3)
    student = torch.zeros_like(STUDENT).requires_grad_()
    value = loss(student, torch.zeros_like(TEACHER), INDEX, 7)
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()


def test_flattens_maps():
    maps = STUDENT[:, :, None, None].expand(4, 3, 2, 1)
    torch.manual_seed(1)
    loss = ContrastiveRepresentation(maps.shape[1:], torch.Size([5]), LABELS)
    vectors = copy.deepcopy(loss)
    assert loss(maps, TEACHER, INDEX, 7) == vectors(maps.flatten(1), TEACHER, INDEX, 7)


def test_computes_half_precision_in_float32():
    value = make_loss()(STUDENT.half(), TEACHER.half(), INDEX, 7)
    assert value.dtype == torch.float32
    assert value == make_loss()(STUDENT.half().float(), TEACHER.half().float(), INDEX, 7)


def test_starts_with_entries_of_length_one_on_average():
    lengths = make_loss(torch.arange(2000), dimension=64).student_bank.square().sum(dim=1)
    assert lengths.mean().item() == pytest.approx(1, abs=0.02)


def test_needs_the_whole_batch():
    assert ContrastiveRepresentation.compares_samples


def test_errors_name_the_rule():
    for arguments, rule in [
        ({"dimension": 0}, "dimension and negatives of 1 or more, got dimension 0 and negatives 5"),
        ({"negatives": 0}, "got dimension 6 and negatives 0; dimension: 128, negatives: 16384"),
        ({"temperature": 0}, "temperature above 0, got 0; temperature: 0.07"),
        ({"momentum": 1}, r"momentum in \[0, 1\), got 1; momentum: 0.5"),
        ({"labels": None}, "position .*sample_labels is None"),
        ({"labels": torch.zeros(9, dtype=torch.int64)}, "list of 9 .* one class only"),
    ]:
        with pytest.raises(BadInput, match=f"ContrastiveRepresentation .*{rule}"):
            make_loss(**arguments)
