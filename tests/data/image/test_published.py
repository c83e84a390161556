import gzip
import os
import pickle
import re
import shlex
import struct
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from kdlab.data.image.published import CIFAR10, CIFAR100, MNIST, FashionMNIST, Published
from kdlab.errors import BadInput


def write_mnist(root: Path, name: str = "MNIST") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Files in the official format with 20 and 10 images."""
    folder, written = root / name / "raw", {}
    folder.mkdir(parents=True)
    for prefix, samples in (("train", 20), ("t10k", 10)):
        images = np.random.default_rng(samples).integers(0, 256, (samples, 28, 28), dtype=np.uint8)
        labels = np.arange(samples, dtype=np.uint8) % 10
        header = struct.pack(">IIII", 2051, samples, 28, 28)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, samples) + labels.tobytes())
        written[prefix] = images, labels
    return written


def cifar_root(dataset) -> str:
    root = os.environ.get("KDLAB_DATA", "")
    if not Path(root, dataset.base_folder).is_dir():
        pytest.skip(f"KDLAB_DATA does not name a folder with {dataset.base_folder}")
    return root


@pytest.mark.parametrize(("module", "name", "views"), [(MNIST, "MNIST", 81), (FashionMNIST, "FashionMNIST", 162)])
def test_official_mnist_files_are_read(tmp_path, module, name, views):
    written = write_mnist(tmp_path, name)
    data = module(root=str(tmp_path), image_size=None, val_fraction=0, batch_size=20)
    data.setup()
    assert data.sample_shape == (3, 28, 28) and data.num_classes == 10 and data.views.count == views
    for batch, part in ((data.batch_at(0, 0), "train"), (next(iter(data.test_dataloader())), "t10k")):
        images, labels = written[part]
        assert np.array_equal(batch.inputs[:, 1].numpy(), images[batch.index])
        assert np.array_equal(batch.targets.numpy(), labels[batch.index])


def test_the_digest_depends_on_content_and_not_on_location(tmp_path):
    for folder in ("here", "there", "changed"):
        write_mnist(tmp_path / folder)
    file = tmp_path / "changed/MNIST/raw/t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    here, there, changed = (MNIST(root=str(tmp_path / f)).digest() for f in ("here", "there", "changed"))
    assert here == there != changed


@pytest.mark.parametrize(
    ("module", "missing"),
    [
        (MNIST, "MNIST/raw is not there or not complete, absent: train-images-idx3-ubyte"),
        (FashionMNIST, "FashionMNIST/raw is not there or not complete, absent: train-images-idx3-ubyte"),
        (CIFAR10, "cifar-10-batches-py is not there or not complete, absent: data_batch_1, .*, batches.meta"),
        (CIFAR100, "cifar-100-python is not there or not complete, absent: train, test, meta"),
    ],
)
def test_absent_files_are_named_with_their_folder_and_how_to_get_them(tmp_path, module, missing):
    with pytest.raises(BadInput, match=f"{tmp_path}/{missing}") as error:
        module(root=str(tmp_path)).setup()
    assert f"data.download=true to fetch it, or paths.data (KDLAB_DATA), now {tmp_path}" in str(error.value)


def test_a_single_absent_file_is_named(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(BadInput, match=r"absent: t10k-labels-idx1-ubyte. Set data.download=true"):
        MNIST(root=str(tmp_path)).setup()


def test_damaged_cifar_files_are_refused_before_they_are_unpickled(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path / "harm").mkdir, ()

    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test", "meta"):
        (folder / name).write_bytes(pickle.dumps(Harm()))
    with pytest.raises(BadInput, match=r"CIFAR100 in .*cifar-100-python differs from the published files"):
        CIFAR100(root=str(tmp_path)).setup()
    assert not (tmp_path / "harm").exists()


def test_a_truncated_mnist_file_is_refused(tmp_path):
    write_mnist(tmp_path)
    file = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"MNIST in .*MNIST/raw differs from the published files"):
        MNIST(root=str(tmp_path)).setup()


def test_a_failed_download_says_why(tmp_path):
    class Offline(datasets.MNIST):
        def download(self):
            raise OSError("no route to host")

    text = rf"The download failed: no route to host\. Check the connection and try again, put .* into {tmp_path}/"
    with pytest.raises(BadInput, match=text) as error:
        Published(Offline, str(tmp_path), download=True)("train")
    assert "data.download=true" not in str(error.value)
    assert f"set paths.data (KDLAB_DATA), now {tmp_path}, to where it is" in str(error.value)


def suggested_command(error):
    """The command in the message, split as by a shell."""
    return shlex.split(re.search(r"Unpack what is there already: (.*?)\. If that is not enough: ", str(error))[1])


@pytest.mark.parametrize("download", [False, True])
def test_packed_files_are_mentioned_with_a_command_that_works(tmp_path, download, monkeypatch):
    monkeypatch.setattr(datasets.MNIST, "download", lambda self: (_ for _ in ()).throw(OSError("no route to host")))
    root = tmp_path / "my data"
    write_mnist(root)
    for file in (root / "MNIST/raw").iterdir():
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    with pytest.raises(BadInput, match="absent: train-images-idx3-ubyte, ") as error:
        MNIST(root=str(root), download=download).setup()
    subprocess.run(suggested_command(error.value), check=True)
    data = Published(datasets.MNIST, str(root))("test")
    assert len(data.labels) == 10


@pytest.mark.parametrize("folder", ["", "cifar-100-python"])
def test_an_archive_of_cifar_is_mentioned_with_a_command_that_works(tmp_path, folder):
    source = tmp_path / "source/cifar-100-python"
    source.mkdir(parents=True)
    for name in ("train", "test", "meta"):
        (source / name).write_bytes(b"not the published ones")
    (tmp_path / "root" / folder).mkdir(parents=True)
    with tarfile.open(tmp_path / "root" / folder / "cifar-100-python.tar.gz", "w:gz") as archive:
        archive.add(source, "cifar-100-python")
    with pytest.raises(BadInput, match="absent: train, test, meta") as error:
        CIFAR100(root=str(tmp_path / "root")).setup()
    subprocess.run(suggested_command(error.value), check=True)
    with pytest.raises(
        BadInput, match=r"differs from the published files\. Remove the damaged files and set data\.downlo"
    ):
        CIFAR100(root=str(tmp_path / "root")).setup()


def test_damaged_files_that_no_download_replaces_are_to_be_removed(tmp_path):
    write_mnist(tmp_path)
    file = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    text = r"differs from the published files\. Remove the damaged files and run the same command to fetch them again"
    with pytest.raises(BadInput, match=text):
        MNIST(root=str(tmp_path), download=True).setup()


def test_downloading_happens_once_per_machine_and_only_when_set(tmp_path, monkeypatch):
    downloads = []
    monkeypatch.setattr(datasets.MNIST, "download", lambda self: (downloads.append(self.root), write_mnist(tmp_path)))
    MNIST(root=str(tmp_path)).prepare_data()
    assert not downloads
    MNIST(root=str(tmp_path), download=True).prepare_data()
    assert downloads == [str(tmp_path)]
    data = MNIST(root=str(tmp_path))
    data.setup()
    assert data.test_size == 10


@pytest.mark.parametrize(("module", "dataset"), [(CIFAR10, datasets.CIFAR10), (CIFAR100, datasets.CIFAR100)])
def test_cifar_equals_torchvision(module, dataset):
    root = cifar_root(dataset)
    data, reference = module(root=root), dataset(root, train=True)
    data.setup()
    assert (data.train_size, data.val_size, data.test_size, data.views.count) == (45000, 5000, 10000, 162)
    assert list(data.class_names) == reference.classes
    batch = data.batch_at(0, 0)
    for image, label, index in zip(batch.inputs, batch.targets, batch.index.tolist(), strict=True):
        picture, expected = reference[index]
        assert np.array_equal(image.permute(1, 2, 0).numpy(), np.array(picture)) and label == expected
    assert data.digest() == module(root="elsewhere").digest()


def test_ten_and_a_hundred_classes_have_digests_of_their_own():
    assert CIFAR10(root="").digest() != CIFAR100(root="").digest()


@pytest.mark.parametrize(("module", "dataset"), [(CIFAR10, datasets.CIFAR10), (CIFAR100, datasets.CIFAR100)])
def test_cifar_validation_holds_every_class_equally(module, dataset):
    data = module(root=cifar_root(dataset))
    data.setup()
    targets = torch.cat([batch.targets for batch in data.val_dataloader()])
    assert (targets.bincount() == 5000 // data.num_classes).all()
