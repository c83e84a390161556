import gzip

import numpy as np
import torchvision

from kdlab.data.image.digits import read_digits
from kdlab.reporting.collect.known_data import CIFAR100_NAMES, CIFAR_FILES, known_data

DIGITS = {"_target_": "kdlab.data.Digits"}


def test_pictures_of_digits_are_those_of_the_test_set():
    arrays = read_digits("test")
    data = known_data(DIGITS, arrays.labels.numpy(), 10)
    np.testing.assert_array_equal(data.pixels, arrays.images[:, 0].numpy())
    np.testing.assert_array_equal(data.picture(7), arrays.images[7, 0].numpy())


def test_no_pictures_where_the_labels_are_others():
    labels = read_digits("test").labels.numpy()
    assert known_data(DIGITS, labels[::-1], 10).picture(0) is None
    assert known_data(DIGITS, labels[:99], 10).picture(0) is None


def test_classes_have_their_names_or_their_numbers():
    none = np.zeros(3, np.int64)
    assert known_data({"_target_": "kdlab.data.CIFAR10"}, none, 10).names[3] == "cat"
    assert known_data({"_target_": "mine.Photos"}, none, 3).names == ("0", "1", "2")
    assert known_data({"_target_": "kdlab.data.CIFAR10"}, none, 3).names == ("0", "1", "2")
    assert known_data({}, none, 2).names == ("0", "1")


def test_files_are_known_by_the_sums_that_torchvision_knows():
    for kind, dataset in (("CIFAR10", torchvision.datasets.CIFAR10), ("CIFAR100", torchvision.datasets.CIFAR100)):
        ((name, digest),) = dataset.test_list
        assert CIFAR_FILES[kind][:2] == (f"{dataset.base_folder}/{name}", digest)
    meta = torchvision.datasets.CIFAR100.meta
    assert (f"cifar-100-python/{meta['filename']}", meta["md5"], meta["key"]) == CIFAR100_NAMES


def test_a_pickle_that_is_not_the_published_file_is_not_read(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"cos\nmkdir\n(V%s/harmed\ntR." % bytes(tmp_path))
    settings = {"_target_": "kdlab.data.CIFAR10", "root": str(tmp_path)}
    assert known_data(settings, np.zeros(3, np.int64), 10).pixels is None
    assert not (tmp_path / "harmed").exists()


def test_pictures_of_mnist_are_read_packed_or_not(tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    images, labels = np.arange(2 * 784, dtype=np.int64).astype(np.uint8).reshape(2, 28, 28), np.array([4, 9])
    (raw / "t10k-images-idx3-ubyte").write_bytes(bytes(16) + images.tobytes())
    (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + labels.astype(np.uint8).tobytes()))
    data = known_data({"_target_": "kdlab.data.FashionMNIST", "root": str(tmp_path)}, labels, 10)
    np.testing.assert_array_equal(data.picture(1), images[1])
    assert data.names[9] == "ankle boot"
