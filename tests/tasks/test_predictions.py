import torch
from torch import nn

from kdlab.tasks.image_classification import ImageClassification
from kdlab.tasks.predictions import predict


def test_predicting_keeps_order_and_mode():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5))
    inputs = torch.arange(10.0).view(5, 1, 2)
    batches = [(inputs[:3], torch.arange(3)), (inputs[3:], torch.arange(3, 5))]
    logits, targets = predict(network, batches, torch.device("cpu"), ImageClassification())
    torch.testing.assert_close(logits, inputs.flatten(1))
    assert targets.tolist() == [0, 1, 2, 3, 4]
    assert network.training
