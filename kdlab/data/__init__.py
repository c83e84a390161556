"""Data modules: batches that are a pure function of seeds, epoch and position."""

from kdlab.data.batch import UNLABELLED, Batch, BatchIndices
from kdlab.data.image.digits import Digits
from kdlab.data.image.folder import ImageFolder
from kdlab.data.image.memory import InMemory
from kdlab.data.image.npz import NpzImages
from kdlab.data.image.published import CIFAR10, CIFAR100, MNIST, FashionMNIST
from kdlab.data.image.transfer import Transfer
from kdlab.data.module import Part, StreamData

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "UNLABELLED",
    "Batch",
    "BatchIndices",
    "Digits",
    "FashionMNIST",
    "ImageFolder",
    "InMemory",
    "NpzImages",
    "Part",
    "StreamData",
    "Transfer",
]
