import numpy as np
import torch

from kdlab.losses.directions import centred_directions, directions


def test_scales_vectors_to_length_one_and_leaves_zero_vectors():
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, -1e-20]])
    torch.testing.assert_close(directions(vectors), torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]]))


def test_leaves_vectors_up_to_the_shortest_length():
    vectors = torch.tensor([[0.0, 1e-8], [0.0, 1e-7]])
    torch.testing.assert_close(directions(vectors, shortest=2e-8), torch.tensor([[0.0, 1e-8], [0.0, 1.0]]))


def test_does_not_blow_up_the_gradient_of_a_zero_vector():
    vectors = torch.zeros(1, 2, requires_grad=True)
    directions(vectors).sum().backward()
    torch.testing.assert_close(vectors.grad, torch.ones(1, 2))


def test_inner_products_of_centred_directions_match_numpy_correlations():
    rows = torch.tensor([[1.0, -2.0, 0.5, 0.0], [1e-6, 3e-6, 0.0, 1e-6], [102.0, 101.0, 100.0, 99.0]])
    expected = torch.from_numpy(np.corrcoef(rows.double().numpy())).float()
    torch.testing.assert_close(centred_directions(rows) @ centred_directions(rows).T, expected)


def test_a_constant_vector_has_no_centred_direction_whatever_its_size():
    rows = torch.full((3, 10), 0.1) * torch.tensor([[1e-3], [1.0], [1e4]])
    rows.requires_grad_()
    values = centred_directions(rows)
    values.square().sum().backward()
    assert values.abs().max() < 1e-3
    assert rows.grad.abs().max() < 1e-2


def test_what_differs_by_less_than_a_hundred_millionth_has_no_centred_direction():
    assert centred_directions(torch.tensor([[1e-9, 3e-9, 0.0]])).abs().max() < 1e-8
